"""Great Expectations on the manifest and on decoded samples. It takes seconds to import: import it inside functions."""
