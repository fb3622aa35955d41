//! Extensions that the target offers in other versions than the source had, or not at all.

use std::collections::{BTreeSet, HashMap};

use super::options::{OnError, RestoreOptions};
use super::shared::Shared;
use crate::archive::{Entry, EntryId};
use crate::connect::Wire;
use crate::error::{Context, Error, Kind, Result};
use crate::sql::literal;

/// The extensions of the plan with the versions that the source had.
fn wanted(shared: &Shared) -> Vec<(&Entry, &str)> {
    let steps = shared.plan.steps.iter();
    steps
        .filter_map(|step| shared.entry(step.entry?))
        .filter(|entry| is_made(entry))
        .filter_map(|entry| Some((entry, entry.version.as_deref()?)))
        .collect()
}

fn is_made(entry: &Entry) -> bool {
    entry.kind == "EXTENSION" && !entry.create.is_empty()
}

/// What the server has of these extensions, by name.
async fn ask(
    wire: &mut Wire,
    wanted: impl Iterator<Item = &Entry>,
) -> Result<HashMap<String, Offer>> {
    let names: Vec<String> = wanted.map(|entry| literal(&entry.name)).collect();
    let mut offered: HashMap<String, Offer> = HashMap::new();
    if names.is_empty() {
        return Ok(offered);
    }
    let rows = wire
        .query(&format!(
            "SELECT x.name, x.default_version, x.installed_version, \
             CASE WHEN e.oid IS NULL THEN x.comment ELSE d.description END, v.version \
             FROM pg_catalog.pg_available_extensions x \
             LEFT JOIN pg_catalog.pg_available_extension_versions v ON v.name = x.name \
             LEFT JOIN pg_catalog.pg_extension e ON e.extname = x.name \
             LEFT JOIN pg_catalog.pg_description d \
             ON d.classoid = 3079 AND d.objoid = e.oid AND d.objsubid = 0 \
             WHERE x.name IN ({})",
            names.join(", ")
        ))
        .await
        .context_with(|| "ask which extensions the target's server has")?;
    for row in rows {
        let mut fields = row.into_iter();
        let mut next = || fields.next().flatten();
        let offer = offered.entry(next().unwrap_or_default()).or_default();
        offer.default = next().unwrap_or_default();
        offer.installed = next();
        offer.comment = next();
        offer.versions.extend(next());
    }
    Ok(offered)
}

/// The entries whose extension the server does not have to install. From the others a comment is
/// taken away that they have anyway: only an extension's owner may set it, and where a service
/// installs extensions that is not who restores.
pub(super) async fn unavailable(
    wire: &mut Wire,
    entries: &mut [Entry],
) -> Result<BTreeSet<EntryId>> {
    let offered = ask(wire, entries.iter().filter(|entry| is_made(entry))).await?;
    let mut unavailable = BTreeSet::new();
    for entry in entries.iter_mut().filter(|entry| is_made(entry)) {
        let Some(offer) = offered.get(&entry.name) else {
            unavailable.insert(entry.id);
            continue;
        };
        // Without a comment it is as if an empty one were set.
        let set = format!(
            " IS {}",
            literal(offer.comment.as_deref().unwrap_or_default())
        );
        entry
            .comments
            .retain(|statement| !statement.ends_with(&set));
    }
    Ok(unavailable)
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
    let offered = ask(wire, wanted.iter().map(|(entry, _)| *entry)).await?;
    let missing = wanted.into_iter().filter_map(|(entry, version)| {
        let offer = offered.get(&entry.name);
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
    let offered = ask(wire, wanted.iter().map(|(entry, _)| *entry)).await?;
    let mut lacking = Vec::new();
    for (entry, version) in wanted {
        let name = entry.describe();
        match offered.get(&entry.name) {
            // One that is there stays as it is.
            Some(offer) if offer.installed.is_some() => {
                let installed = offer.installed.as_deref().unwrap_or_default();
                if installed != version {
                    shared.warn(format!(
                        "{name} is there already in version {installed}, on the source it was \
                         {version}"
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
fn missing(entry: &Entry, version: &str, offer: Option<&Offer>) -> Option<String> {
    let name = entry.describe();
    match offer {
        None => Some(name),
        Some(offer)
            if pinned(entry, version)
                && !offer.versions.iter().any(|offered| offered == version) =>
        {
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
struct Offer {
    default: String,
    /// What this database has.
    installed: Option<String>,
    /// The comment that it has, or would have.
    comment: Option<String>,
    versions: Vec<String>,
}

/// Whether the statement names the version.
fn pinned(entry: &Entry, version: &str) -> bool {
    let pin = format!(" VERSION {}", literal(version));
    entry.create.iter().any(|create| create.ends_with(&pin))
}
