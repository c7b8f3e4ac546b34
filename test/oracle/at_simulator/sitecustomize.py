"""tap-hubspot has HubSpot's address in the code; here it is the simulator's."""

import os

import tap_hubspot

tap_hubspot.BASE_URL = os.environ["HUBSPOT_URL"]
