//! What the server says of the database that is to be replaced, and of what stands beside it.

use std::collections::BTreeSet;

use super::Sessions;
use super::marker::{Marker, State};
use crate::connect::Wire;
use crate::error::{Context, Error, Kind, Result, one_line};
use crate::report::{Check, Verdict};
use crate::sql::{ident, literal};

/// The database that is to be replaced.
#[derive(Clone, Debug)]
pub(super) struct Old {
    pub(super) oid: u32,
    pub(super) owner: String,
    /// Whether the role may rename it, as its owner.
    is_ours: bool,
    /// Whether the role may give a database to this owner.
    may_give: bool,
    /// How large it is, where the role may ask.
    pub(super) bytes: Option<u64>,
    /// Owner, privileges and settings of its own, to compare with another's.
    likeness: String,
}

/// A session in it.
#[derive(Clone, Debug)]
struct Other {
    words: String,
    may_end: bool,
}

/// A database that an earlier run has left.
#[derive(Clone, Debug)]
pub(super) struct Beside {
    pub(super) name: String,
    pub(super) marker: Marker,
    pub(super) bytes: Option<u64>,
    likeness: String,
}

/// All that is known.
#[derive(Clone, Debug)]
pub(super) struct Facts {
    /// The name of the database that is to be replaced.
    database: String,
    role: String,
    may_create: bool,
    pub(super) old: Option<Old>,
    sessions: Vec<Other>,
    slots: Vec<String>,
    subscriptions: Vec<String>,
    prepared: Vec<String>,
    /// All databases there are.
    pub(super) names: BTreeSet<String>,
    pub(super) beside: Vec<Beside>,
}

/// Those that every new database may be made of.
const TEMPLATES: [&str; 2] = ["template0", "template1"];

impl Facts {
    /// Asks from another database of the server.
    pub(super) async fn ask(wire: &mut Wire, database: &str) -> Result<Self> {
        let asked = ask(wire, database).await;
        asked.context_with(|| "ask what is known of the database and its server")
    }

    /// What an earlier run for the same archive and options has restored whole. Anybody who may make
    /// databases can give one such a name and comment, and the old one's owner and privileges may have
    /// been changed since: both have to be alike.
    pub(super) fn filled(&self, wanted: &Marker) -> Option<&Beside> {
        let old = self.old.as_ref()?;
        self.beside.iter().find(|beside| {
            let marker = &beside.marker;
            beside.likeness == old.likeness
                && marker.state == State::Filled
                && marker.archive == wanted.archive
                && marker.options == wanted.options
        })
    }

    /// What makes a swap impossible, or worth a word.
    pub(super) fn checks(&self, sessions: Sessions, wanted: &Marker) -> Vec<Check> {
        let mut checks = vec![self.database()];
        let Some(old) = &self.old else {
            return checks;
        };
        checks.push(self.privileges(old));
        checks.push(self.replication());
        checks.push(self.prepared());
        checks.push(self.sessions(sessions));
        checks.push(self.leftovers(wanted));
        checks
    }

    fn database(&self) -> Check {
        let name = &self.database;
        let shown = ident(name);
        if TEMPLATES.contains(&name.as_str()) {
            let found = format!("{shown} is what new databases are made of");
            return Check::new("database", Verdict::Failed, found)
                .with_way_out("name the database that is to be replaced: -d CONN");
        }
        let Some(old) = &self.old else {
            let found = format!("there is no database {shown} to take the place of");
            let kept = self.beside.iter();
            let mut kept = kept.filter(|beside| beside.marker.state == State::Kept);
            let way_out = match kept.next_back() {
                Some(kept) => format!(
                    "it was kept as {0}: ALTER DATABASE {0} RENAME TO {shown}; or make a new one: \
                     pgstow restore --create-as",
                    ident(&kept.name)
                ),
                None => "make it: pgstow restore --create or --create-as".to_owned(),
            };
            return Check::new("database", Verdict::Failed, found).with_way_out(way_out);
        };
        let bytes = match old.bytes {
            Some(bytes) => format!(", {bytes} bytes"),
            None => String::new(),
        };
        let found = format!("{shown}, owned by {}{bytes}", old.owner);
        Check::new("database", Verdict::Passed, found)
    }

    fn privileges(&self, old: &Old) -> Check {
        let name = ident(&self.database);
        let mut lacking = Vec::new();
        if !self.may_create {
            lacking.push("CREATEDB, to make and rename databases".to_owned());
        }
        if !old.is_ours {
            lacking.push(format!("to own {name}, or be a member of {}", old.owner));
        }
        if old.is_ours && !old.may_give {
            lacking.push(format!("to be able to SET ROLE {}", ident(&old.owner)));
        }
        if lacking.is_empty() {
            let found = format!("role {} may make and rename databases", self.role);
            return Check::new("privileges", Verdict::Passed, found);
        }
        let found = format!("role {} lacks: {}", self.role, lacking.join("; "));
        Check::new("privileges", Verdict::Failed, found).with_way_out(
            "restore as a superuser, or as the owner with ALTER ROLE … CREATEDB; or as a member of the \
             owner with --role",
        )
    }

    fn replication(&self) -> Check {
        let list = |what: &str, names: &[String]| {
            (!names.is_empty()).then(|| format!("{what} {}", names.join(", ")))
        };
        let parts = [
            list("replication slots", &self.slots),
            list("subscriptions", &self.subscriptions),
        ];
        let parts: Vec<String> = parts.into_iter().flatten().collect();
        if parts.is_empty() {
            return Check::new(
                "replication",
                Verdict::Passed,
                "no replication slot or subscription hangs on the database",
            );
        }
        let found = format!(
            "{} hang on the database itself and would stay with the old one",
            parts.join("; ")
        );
        Check::new("replication", Verdict::Failed, found).with_way_out(
            "drop them first (pg_drop_replication_slot, DROP SUBSCRIPTION) and set replication up anew \
             afterwards, or restore into another database",
        )
    }

    fn prepared(&self) -> Check {
        if self.prepared.is_empty() {
            let found = "no transaction is prepared in it";
            return Check::new("prepared-transactions", Verdict::Passed, found);
        }
        let found = format!(
            "prepared transactions {} keep the database from being renamed",
            self.prepared.join(", ")
        );
        Check::new("prepared-transactions", Verdict::Failed, found)
            .with_way_out("COMMIT PREPARED or ROLLBACK PREPARED each of them in that database")
    }

    fn sessions(&self, choice: Sessions) -> Check {
        let words: Vec<&str> = self.sessions.iter().map(|it| it.words.as_str()).collect();
        let unyielding = self.sessions.iter().filter(|it| !it.may_end);
        let unyielding: Vec<&str> = unyielding.map(|it| it.words.as_str()).collect();
        let name = "sessions";
        match choice {
            _ if words.is_empty() => Check::new(name, Verdict::Passed, "nobody is in the database"),
            Sessions::End if unyielding.is_empty() => {
                let found = format!("will be ended at the exchange: {}", words.join(", "));
                Check::new(name, Verdict::Passed, found)
            }
            Sessions::End => {
                let found = format!(
                    "role {} may not end these sessions: {}",
                    self.role,
                    unyielding.join(", ")
                );
                Check::new(name, Verdict::Failed, found)
                    .with_way_out("have them ended, or restore as a member of pg_signal_backend")
            }
            Sessions::Refuse => {
                let found = format!(
                    "must be gone when the databases are exchanged: {}",
                    words.join(", ")
                );
                Check::new(name, Verdict::Warning, found)
                    .with_way_out("end them by then, or have them ended with --force")
            }
        }
    }

    fn leftovers(&self, wanted: &Marker) -> Check {
        let ready = self.filled(wanted).map(|beside| beside.name.as_str());
        let lines: Vec<String> = self
            .beside
            .iter()
            .map(|beside| {
                let name = ident(&beside.name);
                let bytes = match beside.bytes {
                    Some(bytes) => format!(" ({bytes} bytes)"),
                    None => String::new(),
                };
                match beside.marker.state {
                    State::Kept => format!("{name}{bytes} is kept from a swap before"),
                    _ if ready == Some(&beside.name) => {
                        format!("{name}{bytes} was filled by an earlier run and will be taken")
                    }
                    _ => format!("{name}{bytes} was left by an earlier run and will be removed"),
                }
            })
            .collect();
        if lines.is_empty() {
            return Check::new(
                "leftovers",
                Verdict::Passed,
                "no earlier run has left anything",
            );
        }
        let check = Check::new("leftovers", Verdict::Passed, lines.join("\n"));
        let kept = self.beside.iter();
        let mut kept = kept.filter(|beside| beside.marker.state == State::Kept);
        match kept.next() {
            Some(kept) => check.with_way_out(format!(
                "when it is not needed any more: DROP DATABASE {}",
                ident(&kept.name)
            )),
            None => check,
        }
    }
}

async fn ask(wire: &mut Wire, database: &str) -> Result<Facts> {
    let name = literal(database);
    let yes = |field: &Option<String>| field.as_deref() == Some("t");
    let text = |field: &Option<String>| field.clone().unwrap_or_default();
    let role = wire
        .query(
            "SELECT r.rolname, r.rolsuper OR r.rolcreatedb, r.rolsuper \
             FROM pg_catalog.pg_roles r WHERE r.rolname = current_user",
        )
        .await?;
    let role = role.first().ok_or_else(unexpected)?;
    let (role, may_create) = (text(&role[0]), yes(&role[1]));

    // Before 16 whoever is a member may become the role.
    let set = match wire.server_version().at_least(16) {
        true => "SET",
        false => "MEMBER",
    };
    let old = wire
        .query(&format!(
            "SELECT d.oid, pg_catalog.pg_get_userbyid(d.datdba), \
             pg_catalog.pg_has_role(d.datdba, 'USAGE'), pg_catalog.pg_has_role(d.datdba, '{set}'), \
             {SIZE}, {LIKENESS} FROM pg_catalog.pg_database d WHERE d.datname = {name}"
        ))
        .await?;
    let old = match old.first() {
        None => None,
        Some(row) => Some(Old {
            oid: text(&row[0]).parse().map_err(|_| unexpected())?,
            owner: text(&row[1]),
            is_ours: yes(&row[2]),
            may_give: yes(&row[3]),
            bytes: row[4].as_deref().and_then(|bytes| bytes.parse().ok()),
            likeness: text(&row[5]),
        }),
    };
    let sessions = wire
        .query(&format!(
            "SELECT a.pid, coalesce(a.usename, ''), coalesce(a.application_name, ''), \
             coalesce(a.backend_type, 'client backend'), \
             coalesce(me.rolsuper OR NOT r.rolsuper AND (pg_catalog.pg_has_role(r.oid, 'USAGE') \
             OR pg_catalog.pg_has_role('pg_signal_backend', 'USAGE')), me.rolsuper) \
             FROM pg_catalog.pg_stat_activity a \
             JOIN pg_catalog.pg_roles me ON me.rolname = current_user \
             LEFT JOIN pg_catalog.pg_roles r ON r.oid = a.usesysid \
             WHERE a.datname = {name} AND a.backend_type IS DISTINCT FROM 'autovacuum worker' \
             ORDER BY a.pid"
        ))
        .await?
        .iter()
        .map(|row| {
            let mut words = format!("process {}", text(&row[0]));
            for part in [&row[1], &row[2]] {
                if let Some(part) = part.as_deref().filter(|part| !part.is_empty()) {
                    words.push_str(&format!(" {}", one_line(part)));
                }
            }
            if row[3].as_deref() != Some("client backend") {
                words.push_str(&format!(" ({})", text(&row[3])));
            }
            Other {
                words,
                may_end: yes(&row[4]),
            }
        })
        .collect();
    let mut names = async |query: String| {
        let rows = wire.query(&query).await?;
        let first = rows.into_iter().filter_map(|row| row.into_iter().next()?);
        Ok::<Vec<String>, Error>(first.map(|name| one_line(&name)).collect())
    };
    let slots = names(format!(
        "SELECT slot_name FROM pg_catalog.pg_replication_slots WHERE database = {name} ORDER BY 1"
    ))
    .await?;
    let subscriptions = names(format!(
        "SELECT s.subname FROM pg_catalog.pg_subscription s \
         JOIN pg_catalog.pg_database d ON d.oid = s.subdbid WHERE d.datname = {name} ORDER BY 1"
    ))
    .await?;
    let prepared = names(format!(
        "SELECT gid FROM pg_catalog.pg_prepared_xacts WHERE database = {name} ORDER BY 1"
    ))
    .await?;
    let rows = wire
        .query(&format!(
            "SELECT d.datname, pg_catalog.shobj_description(d.oid, 'pg_database'), {SIZE}, {LIKENESS} \
             FROM pg_catalog.pg_database d ORDER BY d.oid"
        ))
        .await?;
    let mut all = BTreeSet::new();
    let mut beside = Vec::new();
    for row in &rows {
        let found = text(&row[0]);
        let marker = row[1].as_deref().and_then(Marker::parse);
        if let Some(marker) = marker.filter(|it| it.of == database && it.is_of(&found)) {
            beside.push(Beside {
                name: found.clone(),
                marker,
                bytes: row[2].as_deref().and_then(|bytes| bytes.parse().ok()),
                likeness: text(&row[3]),
            });
        }
        all.insert(found);
    }
    Ok(Facts {
        database: database.to_owned(),
        role,
        may_create,
        old,
        sessions,
        slots,
        subscriptions,
        prepared,
        names: all,
        beside,
    })
}

/// The size of a database, where the role may ask for it. One that was dropped in part has none.
const SIZE: &str = "CASE WHEN d.datconnlimit <> -2 \
    AND (pg_catalog.has_database_privilege(d.oid, 'CONNECT') \
    OR pg_catalog.pg_has_role('pg_read_all_stats', 'USAGE')) \
    THEN pg_catalog.pg_database_size(d.oid) END";

/// Owner, privileges and settings of a database, the same text for the same ones.
const LIKENESS: &str = "pg_catalog.concat_ws(';', d.datdba, \
    (SELECT pg_catalog.string_agg(a.item::text, ',' ORDER BY a.item::text) \
     FROM pg_catalog.unnest(coalesce(d.datacl, pg_catalog.acldefault('d', d.datdba))) AS a(item)), \
    (SELECT pg_catalog.string_agg(s.setrole || ' ' || c.setting, ',' ORDER BY s.setrole, c.setting) \
     FROM pg_catalog.pg_db_role_setting s, pg_catalog.unnest(s.setconfig) AS c(setting) \
     WHERE s.setdatabase = d.oid))";

fn unexpected() -> Error {
    Error::new(
        Kind::Failed,
        "the server gave an answer that was not expected",
    )
}
