//! Ordering of things that depend on each other: a stable topological order, cycles, a ready set
//! by priority. Knows nothing of PostgreSQL.
