//! Values, keys, expiry and the point-in-time cut.
