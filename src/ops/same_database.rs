//! Whether two connections lead to the same database.

use crate::connect::{Config, Wire};
use crate::error::{Context, Error, Kind, Result};

/// What tells a database from every other.
#[derive(Clone, Debug)]
pub(super) struct Identity {
    /// Of the cluster and all its physical copies; none where the role may not ask.
    system: Option<String>,
    /// When the server was started, to the microsecond: physical copies differ in it.
    started: String,
    is_standby: bool,
    oid: String,
    /// What it is called there.
    pub(super) name: String,
}

/// How two databases are related.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Servers {
    Same,
    /// One is a standby of the other, or both are of a third.
    Replicas,
    Different,
}

/// The system identifier of a server; none where the role may not ask.
///
/// # Errors
/// When the server cannot be reached, or does not answer.
pub(super) async fn system_of(config: &Config) -> Result<Option<String>> {
    Ok(Identity::ask(config, "backup").await?.system)
}

impl Identity {
    /// Asks a server which database this is.
    pub(super) async fn ask(config: &Config, asker: &str) -> Result<Self> {
        let mut wire = config
            .with_application_name_suffix(asker)
            .connect_wire()
            .await?;
        let identity = Self::of(&mut wire)
            .await
            .context_with(|| "ask which database this is")?;
        wire.close().await;
        Ok(identity)
    }

    async fn of(wire: &mut Wire) -> Result<Self> {
        let unexpected = || Error::new(Kind::Failed, "the server does not say");
        let rows = wire
            .query(
                "SELECT extract(epoch FROM pg_catalog.pg_postmaster_start_time())::text, \
                 pg_catalog.pg_is_in_recovery()::text, d.oid::text, d.datname::text, \
                 pg_catalog.has_function_privilege('pg_catalog.pg_control_system()', 'EXECUTE')::text \
                 FROM pg_catalog.pg_database d WHERE d.datname = pg_catalog.current_database()",
            )
            .await?;
        let mut fields = rows.into_iter().next().ok_or_else(unexpected)?.into_iter();
        let mut next = || fields.next().flatten().ok_or_else(unexpected);
        let (started, is_standby, oid, name) = (next()?, next()?, next()?, next()?);
        let system = if next()? == "true" {
            let rows = wire
                .query("SELECT system_identifier::text FROM pg_catalog.pg_control_system()")
                .await?;
            rows.into_iter().flatten().next().flatten()
        } else {
            None
        };
        Ok(Self {
            system,
            started,
            is_standby: is_standby == "true",
            oid,
            name,
        })
    }

    fn servers(&self, other: &Self) -> Servers {
        let systems = self.system.as_ref().zip(other.system.as_ref());
        let equal = systems.map(|(one, other)| one == other);
        if self.started == other.started && equal != Some(false) {
            Servers::Same
        } else if equal == Some(true) && (self.is_standby || other.is_standby) {
            // A copy that was promoted goes its own way.
            Servers::Replicas
        } else {
            Servers::Different
        }
    }

    /// Whether sessions of both count towards the same server's limits.
    pub(super) fn is_on_server_of(&self, other: &Self) -> bool {
        self.servers(other) == Servers::Same
    }

    /// Refuses a target that is the source itself. `made` is the name of the database that will be
    /// made, or dropped and made, on the target's server, where that is wanted.
    pub(super) fn refuse_same(&self, target: &Self, made: Option<&str>) -> Result<()> {
        let is_same = match made {
            Some(name) => self.name == name,
            None => self.oid == target.oid,
        };
        let what = match self.servers(target) {
            Servers::Same => "the source and the target are the same database",
            Servers::Replicas => {
                "the source and the target are the same database, on a server and its standby"
            }
            Servers::Different => return Ok(()),
        };
        if !is_same {
            return Ok(());
        }
        let error = Error::new(Kind::Refused, format!("{what}: {}", self.name));
        Err(match made {
            Some(_) => error.with_hint("give the new database another name: --create-as NAME"),
            None => error,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn identity(system: Option<&str>, started: &str, oid: &str, name: &str) -> Identity {
        Identity {
            system: system.map(str::to_owned),
            started: started.to_owned(),
            is_standby: false,
            oid: oid.to_owned(),
            name: name.to_owned(),
        }
    }

    #[test]
    fn the_same_database_is_known_whatever_may_be_asked() {
        let source = identity(Some("7"), "1.5", "16384", "shop");
        for system in [Some("7"), None] {
            let target = identity(system, "1.5", "16384", "shop");
            let error = source.refuse_same(&target, None).unwrap_err();
            assert_eq!(error.kind(), Kind::Refused);
            let other = identity(system, "1.5", "16385", "copy");
            source.refuse_same(&other, None).unwrap();
            // CREATE DATABASE is only issued from where the target's connection leads.
            source.refuse_same(&target, Some("copy")).unwrap();
            assert!(source.is_on_server_of(&other));
            source.refuse_same(&other, Some("shop")).unwrap_err();
        }
    }

    #[test]
    fn a_standby_holds_the_same_and_a_promoted_copy_does_not() {
        let mut source = identity(Some("7"), "1.5", "16384", "shop");
        let target = identity(Some("7"), "9.5", "16384", "shop");
        source.refuse_same(&target, None).unwrap();
        source.is_standby = true;
        source.refuse_same(&target, None).unwrap_err();
        let elsewhere = identity(Some("8"), "9.5", "16384", "shop");
        source.refuse_same(&elsewhere, None).unwrap();
        assert!(!source.is_on_server_of(&elsewhere));
        // Two servers that were started in the same microsecond.
        let twin = identity(Some("8"), "1.5", "16384", "shop");
        source.refuse_same(&twin, None).unwrap();
    }
}
