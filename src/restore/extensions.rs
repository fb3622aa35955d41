//! Extensions that the target offers in other versions than the source had, or not at all.

use std::collections::HashMap;

use super::options::{OnError, RestoreOptions};
use super::shared::Shared;
use crate::archive::Entry;
use crate::connect::Wire;
use crate::error::{Context, Error, Kind, Result};
use crate::sql::literal;

/// Says which extensions will have another version than on the source, before anything is made.
///
/// # Errors
/// [`Kind::Refused`] names those that the target does not offer, or not in the version that is
/// wanted, unless the restore goes on after errors.
pub(super) async fn check(
    wire: &mut Wire,
    shared: &Shared,
    options: &RestoreOptions,
) -> Result<()> {
    let wanted: Vec<(&Entry, &str)> = shared
        .plan
        .steps
        .iter()
        .filter_map(|step| shared.entry(step.entry?))
        .filter(|entry| entry.kind == "EXTENSION" && !entry.create.is_empty())
        .filter_map(|entry| Some((entry, entry.version.as_deref()?)))
        .collect();
    if wanted.is_empty() {
        return Ok(());
    }
    let names: Vec<String> = wanted.iter().map(|(e, _)| literal(&e.name)).collect();
    let rows = wire
        .query(&format!(
            "SELECT x.name, x.default_version, v.version, x.installed_version \
             FROM pg_catalog.pg_available_extensions x \
             LEFT JOIN pg_catalog.pg_available_extension_versions v ON v.name = x.name \
             WHERE x.name IN ({})",
            names.join(", ")
        ))
        .await
        .context_with(|| "ask which extensions there are")?;
    let mut offered: HashMap<&str, Offer> = HashMap::new();
    for row in &rows {
        let field = |at: usize| row.get(at).and_then(|field| field.as_deref());
        let offer = offered.entry(field(0).unwrap_or_default()).or_default();
        offer.default = field(1).unwrap_or_default();
        offer.installed = field(3);
        offer.versions.extend(field(2));
    }
    let mut missing = Vec::new();
    for (entry, version) in wanted {
        let name = entry.describe();
        match offered.get(entry.name.as_str()) {
            None => missing.push(name),
            // One that is there stays as it is.
            Some(offer) if offer.installed.is_some() => {
                if offer.installed != Some(version) {
                    shared.warn(format!(
                        "{name} is there already in version {}, on the source it was {version}",
                        offer.installed.unwrap_or_default()
                    ));
                }
            }
            Some(offer) if pinned(entry, version) => {
                if !offer.versions.contains(&version) {
                    missing.push(format!("{name} in version {version}"));
                }
            }
            Some(offer) if offer.default != version => shared.warn(format!(
                "{name} is made in version {}, on the source it was {version}",
                offer.default
            )),
            Some(_) => {}
        }
    }
    // With several errors to come, each is told when it comes.
    if missing.is_empty() || options.on_error == OnError::Continue {
        return Ok(());
    }
    Err(Error::new(
        Kind::Refused,
        format!("the target's server does not offer {}", missing.join(", ")),
    )
    .with_hint(
        "install the files there, leave entries out with an edited --use-list, or go on without them \
         with --continue",
    ))
}

/// What the target's server has of an extension.
#[derive(Default)]
struct Offer<'a> {
    default: &'a str,
    installed: Option<&'a str>,
    versions: Vec<&'a str>,
}

/// Whether the statement names the version.
fn pinned(entry: &Entry, version: &str) -> bool {
    let pin = format!(" VERSION {}", literal(version));
    entry.create.iter().any(|create| create.ends_with(&pin))
}
