//! Whether the database can be reached.

use super::{Patient, given};
use crate::connect::{Config, Wire};
use crate::error::{Context as _, Result};
use crate::report::{Check, Verdict};
use crate::sql::{ServerVersion, ident};

/// A session of the doctor's, with the role that a dump has.
pub(super) async fn open(config: &Config, patient: &Patient) -> Result<Wire> {
    let mut wire = config
        .with_application_name_suffix("doctor")
        .connect_wire()
        .await?;
    wire.execute("SELECT pg_catalog.set_config('search_path', '', false)")
        .await?;
    if let Ok(dump) = &patient.dump
        && let Some(role) = &dump.role
    {
        wire.execute(&format!("SET ROLE {}", ident(role)))
            .await
            .context_with(|| format!("become role {role}"))?;
    }
    Ok(wire)
}

pub(super) async fn connection(name: &'static str, patient: &Patient) -> Result<Check> {
    let config = given(&patient.database)?;
    let mut wire = open(config, patient).await?;
    let rows = wire.query("SELECT pg_catalog.pg_is_in_recovery()").await?;
    let is_standby = rows.into_iter().flatten().next().flatten().as_deref() == Some("t");
    let version = wire.server_version();
    let standby = if is_standby { ", a standby" } else { "" };
    let found = format!("{}: PostgreSQL {version}{standby}", wire.describe());
    wire.close().await;
    let mut warnings: Vec<String> = config.warnings().to_vec();
    if version.major() < ServerVersion::OLDEST_MAJOR {
        warnings.push(format!(
            "PostgreSQL {version} is older than {}, the oldest that is supported",
            ServerVersion::OLDEST_MAJOR
        ));
    }
    if version.major() > ServerVersion::NEWEST_MAJOR {
        warnings.push(format!(
            "PostgreSQL {version} is newer than {}, the newest that is known",
            ServerVersion::NEWEST_MAJOR
        ));
    }
    if warnings.is_empty() {
        return Ok(Check::new(name, Verdict::Passed, found));
    }
    warnings.insert(0, found);
    Ok(Check::new(name, Verdict::Warning, warnings.join("\n")))
}
