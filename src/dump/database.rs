//! The database itself, which is in the manifest: as statements for the source's own version, and
//! as fields, of which a restore words them for its target.

use std::collections::BTreeSet;

use crate::archive::{AclRecord, DatabaseRecord, Entry, EntryId, Section, SettingRecord};
use crate::ddl;
use crate::error::{Error, Kind, Result};
use crate::model::{AclItem, Database};
use crate::sql::ident;

use super::DumpOptions;
use super::entries::unless;

/// What a database has besides encoding and locale, without what is left out.
pub(super) fn database_record(database: &Database, options: &DumpOptions) -> DatabaseRecord {
    let properties = &database.properties;
    let header = &properties.header;
    let leave_out = options.leave_out;
    let items = |items: &[AclItem]| items.iter().map(acl_record).collect();
    let acl = header
        .acl
        .current
        .as_ref()
        .filter(|_| !leave_out.privileges);
    DatabaseRecord {
        // GRANT and REVOKE cannot be worded without it.
        owner: header
            .owner
            .clone()
            .filter(|_| !leave_out.owners || acl.is_some()),
        acl_base: acl.map(|_| items(&header.acl.base)).unwrap_or_default(),
        acl: acl.map(|current| items(current)),
        comment: header.comment.clone().filter(|_| !leave_out.comments),
        labels: match leave_out.security_labels {
            true => Vec::new(),
            false => header
                .labels
                .iter()
                .map(|(_, provider, label)| (provider.clone(), label.clone()))
                .collect(),
        },
        tablespace: properties.tablespace.clone(),
        connection_limit: properties.connection_limit,
        is_template: properties.is_template,
        settings: properties
            .settings
            .iter()
            .map(|(role, name, value)| SettingRecord {
                role: role.clone(),
                name: name.clone(),
                value: value.clone(),
            })
            .collect(),
    }
}

fn acl_record(item: &AclItem) -> AclRecord {
    let mut privileges = String::new();
    for privilege in &item.privileges {
        privileges.push(privilege.letter);
        if privilege.grantable {
            privileges.push('*');
        }
    }
    AclRecord {
        grantee: item.grantee.clone(),
        privileges,
        grantor: item.grantor.clone(),
    }
}

/// The database itself as entries, numbered after all others, of which there are so many. They are part of the manifest and
/// not of the table of contents: two databases of the same content have different names.
pub(super) fn database_entries(
    database: &Database,
    entries: usize,
    options: &DumpOptions,
) -> Result<Vec<Entry>> {
    let properties = &database.properties;
    let leave_out = options.leave_out;
    let name = &properties.header.name;
    let first = EntryId::try_from(entries + 1)
        .map_err(|_| Error::new(Kind::Failed, "more than four thousand million objects"))?;
    let blank = |id, kind: &str| Entry::new(id, kind, name, Section::PreData);
    let definition = Entry {
        owner: properties
            .header
            .owner
            .clone()
            .filter(|_| !leave_out.owners),
        create: ddl::database::create(properties, name, database.version),
        drop: vec![format!("DROP DATABASE IF EXISTS {}", ident(name))],
        set_owner: unless(leave_out.owners, ddl::database::owner(properties, name)),
        privileges: unless(
            leave_out.privileges,
            ddl::database::acl(properties, name, database.version),
        ),
        comments: unless(
            leave_out.comments,
            ddl::database::comments(properties, name),
        ),
        labels: unless(
            leave_out.security_labels,
            ddl::database::labels(properties, name),
        ),
        roles: unless(
            leave_out.privileges,
            properties
                .header
                .acl
                .named_roles(properties.header.owner.as_deref())
                .into_iter()
                .map(str::to_owned)
                .collect(),
        ),
        ..blank(first, "DATABASE")
    };
    let settings_roles: BTreeSet<&String> = properties
        .settings
        .iter()
        .filter_map(|(role, _, _)| role.as_ref())
        .collect();
    let settings = Entry {
        create: ddl::database::properties(properties, name, database.version),
        depends_on: vec![first],
        roles: settings_roles.into_iter().cloned().collect(),
        ..blank(first + 1, "DATABASE PROPERTIES")
    };
    Ok(vec![definition, settings])
}
