//! What belongs to the whole server, on its way into the archive.

use std::time::Instant;

use crate::archive::{ArchiveId, Entry, EntryId, Globals, Manifest, Scripts, Section, Writer};
use crate::catalog::{self, GlobalsRequest};
use crate::connect::Session;
use crate::ddl;
use crate::error::{Error, Kind, Result};
use crate::graph;
use crate::report::{Event, Observer};
use crate::select;
use crate::storage::Sink;

use super::entries::{form_of, unless};
use super::{DumpOptions, DumpReport, scripts};

/// Reads the globals under the session's snapshot, if they are wanted.
pub(super) async fn read(
    leader: &Session,
    options: &DumpOptions,
    encoding: &str,
    observer: &dyn Observer,
) -> Result<Option<Globals>> {
    let wanted = options.globals;
    if wanted.which == select::Globals::No {
        return Ok(None);
    }
    observer.event(&Event::Phase {
        name: "globals",
        steps: None,
    });
    let request = GlobalsRequest {
        roles: wanted.roles,
        tablespaces: wanted.tablespaces && !options.leave_out.tablespaces,
        role_passwords: wanted.role_passwords,
    };
    let globals = catalog::read_globals(leader, &request, observer).await?;
    let order = graph::grant_order(&globals);
    for &at in &order.without_grantor {
        let grant = &globals.memberships[at];
        observer.warning(format!(
            "the membership of {} in {} is dumped without its grantor {}, who has no right to \
             grant it",
            grant.member,
            grant.role,
            grant.grantor.as_deref().unwrap_or_default(),
        ));
    }
    let mut entries = Vec::new();
    let rendered = options
        .quoting
        .scope(|| ddl::globals::render(&globals, &order));
    for global in rendered {
        let id = EntryId::try_from(entries.len() + 1)
            .map_err(|_| Error::new(Kind::Failed, "more than four thousand million globals"))?;
        entries.extend(entry(id, global, options));
    }
    let mut script = ddl::script::header(globals.version, encoding);
    script.push_str("SET default_transaction_read_only = off;\n\n");
    script.push_str(&scripts::globals(&entries));
    Ok(Some(Globals { entries, script }))
}

/// An entry; none when nothing of it is left.
fn entry(id: EntryId, global: ddl::globals::Global, options: &DumpOptions) -> Option<Entry> {
    let leave_out = options.leave_out;
    let entry = Entry {
        owner: global.owner.filter(|_| !leave_out.owners),
        create: global.create,
        set_owner: unless(leave_out.owners, global.set_owner),
        roles: match (leave_out.privileges, global.privileges.is_empty()) {
            (true, false) => Vec::new(),
            _ => global.roles,
        },
        privileges: unless(leave_out.privileges, global.privileges),
        comments: unless(leave_out.comments, global.comments),
        labels: unless(leave_out.security_labels, global.labels),
        forms: global
            .forms
            .into_iter()
            .filter_map(|form| form_of(form, leave_out))
            .collect(),
        ..Entry::new(id, global.kind, &global.name, Section::PreData)
    };
    let empty = entry.create.is_empty() && entry.privileges.is_empty();
    (!empty).then_some(entry)
}

/// An archive that has nothing but globals.
pub(super) async fn write_alone(
    sink: Box<dyn Sink>,
    manifest: Manifest,
    globals: Globals,
    began: Instant,
) -> Result<DumpReport> {
    let archive_id: ArchiveId = manifest.archive_id;
    let server_version = manifest.server_version_text.clone();
    let count = globals.entries.len() as u64;
    let scripts = Scripts::default();
    let writer = Writer::create_with_globals(sink, manifest, &[], scripts, Some(globals)).await?;
    let summary = writer.finish().await?;
    Ok(DumpReport {
        database: String::new(),
        server_version,
        globals: count,
        entries: 0,
        made: 0,
        tables: 0,
        rows: 0,
        raw_bytes: 0,
        archive_bytes: summary.bytes,
        frames: 0,
        zstd_level: None,
        archive_id: archive_id.to_string(),
        seconds: began.elapsed().as_secs_f64(),
    })
}
