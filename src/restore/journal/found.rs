//! The journal of an earlier run, and whether this one may go on with it.

use std::collections::{BTreeMap, BTreeSet};

use super::seats::seated;
use super::tables::{drop_it, relation};
use crate::archive::{ArchiveId, EntryId};
use crate::connect::Wire;
use crate::error::{Context, Error, Kind, Result};
use crate::plan::InPieces;
use crate::restore::options::RestoreOptions;
use crate::select::JOURNAL_SCHEMA;
use crate::sql::{ident, literal};

/// Beside the options: what is made in pieces, which is for the first run to decide.
pub(super) const IN_PIECES: &str = "in pieces";

/// What a journal says of the restore that keeps it.
#[derive(Clone, Debug)]
pub(in crate::restore) struct Recorded {
    archive: String,
    options: BTreeMap<String, String>,
    role: String,
    began: String,
    /// What the target had of what would have been pulled in, before anything was made.
    pub(in crate::restore) present: BTreeSet<EntryId>,
    /// Number of things done.
    pub(super) done: u64,
}

impl Recorded {
    /// What the first run made in pieces, or was going to.
    pub(in crate::restore) fn in_pieces(&self) -> InPieces {
        let name = self.options.get(IN_PIECES);
        name.and_then(|name| InPieces::named(name))
            .unwrap_or_default()
    }
}

/// What is to become of a target, by the journal that is in it.
#[derive(Clone, Debug, Default)]
pub(in crate::restore) enum Standing {
    /// There is none.
    #[default]
    None,
    /// An earlier run of the same restore goes on.
    Resumed(Recorded),
    /// What it tells of does not matter any more: it is dropped.
    Replaced,
    /// Another restore is at work in the same database and keeps it: this one keeps none.
    Others,
}

impl Standing {
    pub(in crate::restore) fn resumed(&self) -> Option<&Recorded> {
        match self {
            Self::Resumed(recorded) => Some(recorded),
            _ => None,
        }
    }
}

/// Reads what the journal in this database says of itself, if there is one.
pub(super) async fn read(wire: &mut Wire) -> Result<Option<Recorded>> {
    let reading = || "read the journal of an earlier restore".to_owned();
    let schema = literal(JOURNAL_SCHEMA);
    let owners = wire
        .query(&format!(
            "SELECT pg_catalog.pg_get_userbyid(n.nspowner)::text, \
             pg_catalog.pg_has_role(n.nspowner, 'USAGE') FROM pg_catalog.pg_namespace n \
             WHERE n.nspname = {schema} AND EXISTS (SELECT FROM pg_catalog.pg_class c \
             WHERE c.relnamespace = n.oid AND c.relname = 'run')"
        ))
        .await
        .context_with(reading)?;
    let Some(owner) = owners.first() else {
        return Ok(None);
    };
    if owner[1].as_deref() != Some("t") {
        let owner: String = owner[0].clone().unwrap_or_default();
        return Err(Error::new(
            Kind::Refused,
            format!(
                "an earlier restore by role {} was not finished and has left its journal in {}",
                ident(&owner),
                wire.describe()
            ),
        )
        .with_hint("go on as that role with --resume, or have it drop the schema \"pgstow restore journal\""));
    }
    let rows = wire
        .query(&format!(
            "SELECT archive, options, role::text, present, \
             pg_catalog.to_char(began AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI:SS \"UTC\"'), \
             (SELECT pg_catalog.count(*) FROM {})::text FROM {}",
            relation("done"),
            relation("run")
        ))
        .await
        .context_with(reading)?;
    let malformed = || {
        Error::new(
            Kind::Refused,
            "the target holds a journal of another program's making",
        )
        .with_hint("drop the schema \"pgstow restore journal\" if nobody needs it")
    };
    let [
        Some(archive),
        Some(options),
        Some(role),
        Some(present),
        Some(began),
        Some(done),
    ] = rows.first().ok_or_else(malformed)?.as_slice()
    else {
        return Err(malformed());
    };
    let present = present.split_whitespace().map(str::parse);
    Ok(Some(Recorded {
        archive: archive.clone(),
        options: serde_json::from_str(options).map_err(|_| malformed())?,
        role: role.clone(),
        began: began.clone(),
        present: present.collect::<Result<_, _>>().map_err(|_| malformed())?,
        done: done.parse().map_err(|_| malformed())?,
    }))
}

/// Looks into the database that is to be restored into, before anything is planned or changed.
///
/// # Errors
/// [`Kind::Refused`] when there is a journal that does not fit what is wanted.
pub(in crate::restore) async fn look(
    wire: &mut Wire,
    archive: ArchiveId,
    options: &RestoreOptions,
) -> Result<Standing> {
    if let Some(role) = &options.role {
        wire.execute(&format!("SET ROLE {}", ident(role))).await?;
    }
    let Some(recorded) = read(wire).await? else {
        return Ok(Standing::None);
    };
    let place = wire.describe().to_owned();
    if options.resume {
        recorded.refuse_unless_same(wire, archive, options).await?;
        return Ok(Standing::Resumed(recorded));
    }
    let others = seated(wire).await?;
    if !others.is_empty() {
        if options.clean {
            return Err(at_work(&place, &others));
        }
        return Ok(Standing::Others);
    }
    if options.clean {
        return Ok(Standing::Replaced);
    }
    if recorded.done == 0 {
        drop_it(wire).await?;
        return Ok(Standing::None);
    }
    let whose = if recorded.archive == archive.to_string() {
        "this archive".to_owned()
    } else {
        format!("another archive ({})", recorded.archive)
    };
    Err(Error::new(
        Kind::Refused,
        format!(
            "a restore of {whose} into {place}, begun {}, was not finished",
            recorded.began
        ),
    )
    .with_hint(
        "go on with it: --resume, with the same archive and options; or begin anew: in a new \
         database, with --clean --if-exists, or after DROP SCHEMA \"pgstow restore journal\" CASCADE",
    ))
}

impl Recorded {
    /// Whether it tells of the restore that is to go on.
    async fn refuse_unless_same(
        &self,
        wire: &mut Wire,
        archive: ArchiveId,
        options: &RestoreOptions,
    ) -> Result<()> {
        let refused = |why: String| Error::new(Kind::Refused, why);
        if self.archive != archive.to_string() {
            return Err(refused(format!(
                "the restore begun {} is of another archive ({}, not {archive})",
                self.began, self.archive
            ))
            .with_hint("--resume goes on only with the archive that it was begun with"));
        }
        let now = options.fingerprints()?;
        let names: BTreeSet<&String> = self.options.keys().chain(now.keys()).collect();
        let other: Vec<&str> = names
            .into_iter()
            .filter(|&name| name != IN_PIECES)
            .filter(|&name| self.options.get(name) != now.get(name))
            .map(String::as_str)
            .collect();
        if !other.is_empty() {
            return Err(refused(format!(
                "the restore begun {} had other options: {}",
                self.began,
                other.join(", ")
            ))
            .with_hint("--resume goes on only with the options that it was begun with"));
        }
        if self.role != role(wire).await? {
            return Err(refused(format!(
                "the restore begun {} was another role's",
                self.began
            ))
            .with_hint("--resume goes on only as the role that it was begun as"));
        }
        Ok(())
    }
}

/// Refuses a target that is to be empty while another restore fills it.
///
/// # Errors
/// [`Kind::Refused`], with the sessions of the other one.
pub(in crate::restore) async fn refuse_others(wire: &mut Wire, standing: &Standing) -> Result<()> {
    if !matches!(standing, Standing::Others) {
        return Ok(());
    }
    let others = seated(wire).await?;
    Err(at_work(wire.describe(), &others))
}

fn at_work(place: &str, sessions: &[String]) -> Error {
    Error::new(
        Kind::Refused,
        format!("another restore is at work in {place}"),
    )
    .with_hint(format!(
        "wait for it, or end its sessions: {}",
        sessions.join(", ")
    ))
}

/// The role that a session works as, by its number: names may need an encoding.
pub(super) async fn role(wire: &mut Wire) -> Result<String> {
    let rows = wire
        .query("SELECT oid::text FROM pg_catalog.pg_roles WHERE rolname = current_user")
        .await
        .context_with(|| "ask who the session is")?;
    let role = rows.into_iter().flatten().next().flatten();
    role.ok_or_else(|| Error::new(Kind::Failed, "the server does not say who the session is"))
}
