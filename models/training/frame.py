"""Features of every active company at every date of the directory's history, as features/*.ts computes them.

Each row knows only what the CRM held on that date; labels come from later changes. The source of a history row is
CRM_UI where the company changed its profile and IMPORT where the publisher of the directory did: first values, mass
edits (listed below, each found by its date and size), and fields that only the publisher sets.
"""
import collections
import datetime as dt
import gzip
import json
import math
import os
import re

DATA = os.environ.get('YC_DATA') or os.path.join(os.path.dirname(__file__), '..', '..', '..', 'shared', 'data', 'yc')
FIRST_DATE = '2023-01-29'
MASS_EDITS = {
    ('2023-02-13', 'tags'), ('2023-03-13', 'tags'), ('2023-04-05', 'tags'), ('2023-09-13', 'launched_at'),
    ('2023-09-13', 'all_locations'), ('2023-09-13', 'industry'), ('2023-09-13', 'subindustry'),
    ('2023-10-13', 'all_locations'), ('2024-05-13', 'top_company'), ('2025-05-13', 'batch'),
}
SET_BY_PUBLISHER = {'top_company', 'stage', 'batch', 'launched_at', 'status'}
PROPERTY = {
    'name': 'name', 'website': 'website', 'all_locations': 'city', 'one_liner': 'yc_one_liner',
    'long_description': 'description', 'team_size': 'numberofemployees', 'industry': 'industry',
    'subindustry': 'yc_subindustry', 'launched_at': 'yc_launched_at', 'tags': 'yc_tags',
    'top_company': 'yc_top_company', 'isHiring': 'yc_is_hiring', 'nonprofit': 'yc_nonprofit', 'batch': 'yc_batch',
    'status': 'yc_status', 'regions': 'yc_regions', 'stage': 'yc_stage',
}
SEASON = {'w': 0, 'winter': 0, 'x': .25, 'spring': .25, 'ik': .5, 's': .5, 'summer': .5, 'f': .75, 'fall': .75}
REGIONS = [('United States of America', 'USA'), ('Europe', 'Europe'), ('South Asia', 'South Asia'),
           ('Latin America', 'Latin America'), ('Southeast Asia', 'Southeast Asia'), ('Africa', 'Africa'),
           ('Middle East and North Africa', 'MENA'), ('Canada', 'Canada'), ('East Asia', 'East Asia'),
           ('Oceania', 'Oceania')]
INDUSTRY = {'B2B Software and Services': 'B2B', 'Financial Technology': 'Fintech', 'Unspecified': None, '': None}
AI = {'ai', 'artificial intelligence', 'artifical intelligence', 'machine learning', 'generative ai'}


def ordinal(date):
    return dt.date.fromisoformat(date).toordinal()


def read(name):
    with gzip.open(os.path.join(DATA, name), 'rt', encoding='utf-8') as lines:
        return [json.loads(line) for line in lines]


def crm_columns(state):
    """The columns of hubspot.companies that features read; empty becomes null, as in the CRM."""
    columns = {}
    for field, prop in PROPERTY.items():
        value = state.get(field)
        if isinstance(value, list):
            value = ';'.join(value)
        columns[prop] = None if value == '' else value
    return columns


def utf16_length(text):
    return len((text or '').encode('utf-16-le')) // 2


def entries(text):
    return [part.strip() for part in (text or '').split(';') if part.strip()]


def batch_year(batch):
    match = re.fullmatch(r'([a-z]+) ?(\d{4}|\d{2})', (batch or '').strip(), re.I)
    if not match or match[1].lower() not in SEASON:
        return None
    return (2000 if len(match[2]) == 2 else 0) + int(match[2]) + SEASON[match[1].lower()]


class History:
    """hubspot.company_property_history of one company, and what the activity features need of it."""

    def __init__(self):
        self.rows, self.sizes, self.edits = [], [], []

    def add(self, day, prop, value, source):
        self.rows.append((day, prop, value, source))
        if prop == 'numberofemployees':
            self.sizes.append((day, value))
        if source == 'CRM_UI':
            self.edits.append((day, prop))

    def features(self):
        first, last = self.rows[0][0], self.rows[-1][0]
        now, before = (self.sizes[-1:] or [None])[0], (self.sizes[-2:-1] or [None])[0]
        known = now and before and now[1] is not None and before[1] is not None
        count = collections.Counter(prop for _, prop in self.edits)
        days = last - first
        return dict(
            profile_edits=len(self.edits), team_size_edits=count['numberofemployees'],
            hiring_changes=count['yc_is_hiring'],
            team_trend=math.log1p(now[1]) - math.log1p(before[1]) if known else None,
            days_between_team_sizes=now[0] - before[0] if before else None,
            history_days=days, quiet_days=last - (self.edits[-1][0] if self.edits else first),
            team_size_age_days=last - now[0] if now else None,
            edits_per_year=len(self.edits) * 365 / max(days, 91))


def profile_features(c):
    tags, regions = entries(c['yc_tags']), entries(c['yc_regions'])
    lower, size = {tag.lower() for tag in tags}, c['numberofemployees']
    industry = (c['industry'] or '').strip()
    return dict(
        team_size=size, log_team_size=None if size is None else math.log1p(size),
        is_hiring=c['yc_is_hiring'] is True, top_company=c['yc_top_company'] is True,
        nonprofit=c['yc_nonprofit'] is True, no_website=not (c['website'] or '').strip(),
        growth_stage=c['yc_stage'] == 'Growth', batch_year=batch_year(c['yc_batch']),
        description_length=utf16_length(c['description']), one_liner_length=utf16_length(c['yc_one_liner']),
        n_tags=len(tags), tag_ai=bool(lower & AI), tag_saas='saas' in lower,
        tag_developer_tools='developer tools' in lower, tag_marketplace='marketplace' in lower,
        n_regions=len(regions), fully_remote='Fully Remote' in regions,
        region=next((name for listed, name in REGIONS if listed in regions), 'Other'),
        industry_group=INDUSTRY.get(industry, industry))


class Directory:
    """The directory replayed date by date: present state, property histories and what later labels need."""

    def __init__(self):
        self.state, self.history, self.removed = {}, {}, {}
        self.sizes, self.statuses = collections.defaultdict(list), collections.defaultdict(list)

    def insert(self, day, company):
        i = company['id']
        self.state[i], self.history[i] = dict(company), History()
        for prop, value in crm_columns(company).items():
            if value is not None:
                self.history[i].add(day, prop, value, 'IMPORT')
        self.sizes[i].append((day, company.get('team_size')))
        self.statuses[i].append((day, company['status']))

    def update(self, date, day, i, fields):
        self.state[i].update(fields)
        columns = crm_columns(self.state[i])
        for field in fields:
            if field in PROPERTY:
                publisher = field in SET_BY_PUBLISHER or (date, field) in MASS_EDITS
                self.history[i].add(day, PROPERTY[field], columns[PROPERTY[field]], 'IMPORT' if publisher else 'CRM_UI')
        if 'team_size' in fields:
            self.sizes[i].append((day, fields['team_size']))
        if 'status' in fields:
            self.statuses[i].append((day, fields['status']))

    def remove(self, day, i):
        self.state.pop(i, None)
        self.removed[i] = day


def replay():
    """Yields (date, day, directory) after the changes of each date."""
    directory, changes = Directory(), read('changes.jsonl.gz')
    for company in read('companies-2023-01-29.jsonl.gz'):
        directory.insert(ordinal(FIRST_DATE), company)
    yield FIRST_DATE, ordinal(FIRST_DATE), directory
    by_date = collections.defaultdict(list)
    for change in changes:
        by_date[change['date']].append(change)
    for date in sorted(by_date):
        day = ordinal(date)
        for change in by_date[date]:
            if change['op'] == 'insert':
                directory.insert(day, dict(change['fields'], id=change['id']))
            elif change['op'] == 'delete':
                directory.remove(day, change['id'])
            else:
                directory.update(date, day, change['id'], change['fields'])
        yield date, day, directory


def features_of(directory, i):
    return {**profile_features(crm_columns(directory.state[i])), **directory.history[i].features()}


def between(events, after, until):
    return [value for day, value in events if after < day <= until]


def grows(directory, i, day, days):
    """1.0 when the stated team is larger by a fifth and by two people; None when unknown or removed uneventfully."""
    sizes = directory.sizes[i]
    before = [v for d, v in sizes if d <= day][-1]
    after = [v for d, v in sizes if d <= day + days][-1]
    left = {'Inactive', 'Acquired', 'Public'} & set(between(directory.statuses[i], day, day + days))
    if not before or after is None or (removed(directory, i, day, days) and not left):
        return None
    return float(after >= before * 1.2 and after >= before + 2)


def becomes_inactive(directory, i, day, days):
    inactive = 'Inactive' in between(directory.statuses[i], day, day + days)
    return None if removed(directory, i, day, days) and not inactive else float(inactive)


def removed(directory, i, day, days):
    return day < directory.removed.get(i, -1) <= day + days


def build(label, days):
    """@returns rows {id, date, label, ...features} of active companies whose label window lies within the history"""
    rows, last = [], None
    for date, day, directory in replay():
        last = directory, day
        for i, state in directory.state.items():
            if state['status'] == 'Active':
                rows.append(dict(features_of(directory, i), id=i, date=date, day=day))
    directory, end = last
    for row in rows:
        row['label'] = label(directory, row['id'], row['day'], days) if row['day'] + days <= end + 1 else None
    return [row for row in rows if row['label'] is not None]
