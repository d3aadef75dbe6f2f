"""Great Expectations on the manifest and on decoded samples.

Great Expectations and pandas take seconds to import: import `checks` and the suites, which need them, inside functions.
"""

import os

# It reads this when it is imported, and would send usage statistics.
os.environ.setdefault("GX_ANALYTICS_ENABLED", "false")
