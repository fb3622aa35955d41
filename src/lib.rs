//! pgstow
