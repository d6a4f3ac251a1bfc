//! The conformance suite every provider passes, with the faulty wrappers that prove it can fail.
