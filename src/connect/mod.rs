//! Connections to PostgreSQL: configuration, sessions, the COPY data plane.
