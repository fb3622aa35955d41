//! Names of roles.

use super::row::Row;
use crate::error::{Context, Result};
use crate::model::Oid;
use std::collections::HashMap;
use tokio_postgres::Client;

/// Every role's name, read once.
#[derive(Clone, Debug, Default)]
pub(crate) struct Roles {
    names: HashMap<Oid, String>,
}

/// The role that initdb made.
pub(crate) const BOOTSTRAP: Oid = 10;

/// `pg_roles` can be read by everyone, `pg_authid` cannot.
pub(crate) const ROLES: &str = "\
SELECT oid, rolname::text FROM pg_catalog.pg_roles";

impl Roles {
    /// Reads them.
    ///
    /// # Errors
    /// The server's.
    pub async fn load(client: &Client) -> Result<Self> {
        let rows = client
            .query_typed(ROLES, &[])
            .await
            .context_with(|| "read roles")?;
        let rows = rows.into_iter().map(Row::from);
        let names = rows.map(|row| (row.get(0), row.get(1))).collect();
        Ok(Self { names })
    }

    /// Whether a role has this name.
    pub fn contains(&self, name: &str) -> bool {
        self.names.values().any(|known| known == name)
    }

    /// Roles as given, for tests of what needs them.
    #[cfg(test)]
    pub fn from_names<const N: usize>(names: [(Oid, &str); N]) -> Self {
        let names = names.map(|(oid, name)| (oid, name.to_owned())).into();
        Self { names }
    }

    /// A role's name.
    pub fn name(&self, oid: Oid) -> Option<&str> {
        self.names.get(&oid).map(String::as_str)
    }
}

/// The queries of this file, by name.
pub(crate) fn queries(_version: crate::sql::ServerVersion) -> Vec<(&'static str, String)> {
    vec![("roles", ROLES.to_owned())]
}
