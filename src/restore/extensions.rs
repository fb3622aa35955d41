//! Extensions that the target offers in other versions than the source had, or not at all.

use std::collections::HashMap;

use super::options::{OnError, RestoreOptions};
use super::shared::Shared;
use crate::archive::Entry;
use crate::connect::Wire;
use crate::error::{Context, Error, Kind, Result};
use crate::sql::literal;

/// The extensions of the plan with the versions that the source had.
fn wanted(shared: &Shared) -> Vec<(&Entry, &str)> {
    let steps = shared.plan.steps.iter();
    steps
        .filter_map(|step| shared.entry(step.entry?))
        .filter(|entry| entry.kind == "EXTENSION" && !entry.create.is_empty())
        .filter_map(|entry| Some((entry, entry.version.as_deref()?)))
        .collect()
}

/// What the server has of these extensions: name, default version, one of the versions, and the
/// version that this database has.
async fn ask(wire: &mut Wire, wanted: &[(&Entry, &str)]) -> Result<Vec<Vec<Option<String>>>> {
    if wanted.is_empty() {
        return Ok(Vec::new());
    }
    let names: Vec<String> = wanted.iter().map(|(e, _)| literal(&e.name)).collect();
    wire.query(&format!(
        "SELECT x.name, x.default_version, v.version, x.installed_version \
         FROM pg_catalog.pg_available_extensions x \
         LEFT JOIN pg_catalog.pg_available_extension_versions v ON v.name = x.name \
         WHERE x.name IN ({})",
        names.join(", ")
    ))
    .await
    .context_with(|| "ask which extensions there are")
}

fn offers(rows: &[Vec<Option<String>>]) -> HashMap<&str, Offer<'_>> {
    let mut offered: HashMap<&str, Offer> = HashMap::new();
    for row in rows {
        let field = |at: usize| row.get(at).and_then(|field| field.as_deref());
        let offer = offered.entry(field(0).unwrap_or_default()).or_default();
        offer.default = field(1).unwrap_or_default();
        offer.installed = field(3);
        offer.versions.extend(field(2));
    }
    offered
}

/// Before a database is made, from another one of its server: what a server offers is the same in
/// all of them, what they have is not.
///
/// # Errors
/// As [`check`].
pub(super) async fn check_offers(
    wire: &mut Wire,
    shared: &Shared,
    options: &RestoreOptions,
) -> Result<()> {
    let wanted = wanted(shared);
    let rows = ask(wire, &wanted).await?;
    let offered = offers(&rows);
    let missing = wanted.into_iter().filter_map(|(entry, version)| {
        let offer = offered.get(entry.name.as_str());
        missing(entry, version, offer)
    });
    refuse(missing.collect(), options)
}

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
    let wanted = wanted(shared);
    let rows = ask(wire, &wanted).await?;
    let offered = offers(&rows);
    let mut lacking = Vec::new();
    for (entry, version) in wanted {
        let name = entry.describe();
        match offered.get(entry.name.as_str()) {
            // One that is there stays as it is.
            Some(offer) if offer.installed.is_some() => {
                if offer.installed != Some(version) {
                    shared.warn(format!(
                        "{name} is there already in version {}, on the source it was {version}",
                        offer.installed.unwrap_or_default()
                    ));
                }
            }
            Some(offer) if !pinned(entry, version) => {
                if offer.default != version {
                    shared.warn(format!(
                        "{name} is made in version {}, on the source it was {version}",
                        offer.default
                    ));
                }
            }
            offer => lacking.extend(missing(entry, version, offer)),
        }
    }
    refuse(lacking, options)
}

/// What the server does not offer of an extension that is to be made.
fn missing(entry: &Entry, version: &str, offer: Option<&Offer<'_>>) -> Option<String> {
    let name = entry.describe();
    match offer {
        None => Some(name),
        Some(offer) if pinned(entry, version) && !offer.versions.contains(&version) => {
            Some(format!("{name} in version {version}"))
        }
        Some(_) => None,
    }
}

fn refuse(missing: Vec<String>, options: &RestoreOptions) -> Result<()> {
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
