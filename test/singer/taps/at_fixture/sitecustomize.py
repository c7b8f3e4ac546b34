"""tap-exchangeratesapi has its address in the code; here it is the fixture's."""

import os

import tap_exchangeratesapi

tap_exchangeratesapi.base_url = os.environ["RATES_URL"] + "/"
