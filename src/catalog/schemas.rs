//! Schemas, and what is special about `public`.

use super::context::Reader;
use super::{acl, init_privs};
use crate::error::Result;
use crate::model::{Acl, Address, Class, Header, Privilege, Schema};
use crate::sql::ServerVersion;

/// Temporary and TOAST schemas never count; `pg_catalog` and `information_schema` are here for the
/// sake of changed privileges.
fn schemas() -> String {
    format!(
        "SELECT n.oid, n.nspname::text AS name, n.nspowner AS owner, {columns} \
         FROM pg_catalog.pg_namespace n {join} \
         WHERE n.nspname = 'pg_catalog' OR n.nspname !~ '^pg_' \
         ORDER BY n.nspname",
        columns = init_privs::columns("n.nspacl", 'n', "n.nspowner"),
        join = init_privs::join("pg_namespace", "n"),
    )
}

/// What initdb granted on `information_schema` and did not record: that everybody may use it.
fn compare_with_new_information_schema(header: &mut Header) {
    if let Some(owner) = header.owner.clone() {
        header.acl.base.push(acl::grant(None, "U", &owner));
    }
}

/// Reads the schemas. Nothing of them is wanted yet.
///
/// # Errors
/// The server's; an owner that does not exist.
pub(crate) async fn read(reader: &Reader<'_>) -> Result<Vec<Schema>> {
    let rows = reader.rows("schemas", &schemas(), &[]).await?;
    rows.iter()
        .map(|row| {
            let name: String = row.get("name");
            let owner = reader.owner(row.get("owner"), &format!("schema {name}"))?;
            let address = Address::new(Class::Schema, row.get("oid"));
            let mut header = Header::new(address, None, name);
            header.acl = acl::parse(row.get("acl"), row.get("acl_base"))?;
            header.owner = Some(owner);
            let built_in = header.name == "public";
            if built_in {
                compare_with_new_public(&mut header, reader.version);
            }
            if header.name == "information_schema" {
                compare_with_new_information_schema(&mut header);
            }
            Ok(Schema { header, built_in })
        })
        .collect()
}

/// The privileges of `public` are compared with those in a new database of 15 or newer: all for
/// the owner, USAGE for PUBLIC. Before 15 a new database lets PUBLIC also create. An archive from
/// there can end up on either side, so that what PUBLIC has is always written: the base is one
/// that it differs from.
fn compare_with_new_public(header: &mut Header, version: ServerVersion) {
    let Some(owner) = header.owner.clone() else {
        return;
    };
    let mut public = "U";
    if !version.at_least(15) {
        let has = |letter| {
            let items = header.acl.current.as_ref().unwrap_or(&header.acl.base);
            items.iter().any(|item| {
                item.grantee.is_none()
                    && item.privileges.contains(&Privilege {
                        letter,
                        grantable: false,
                    })
            })
        };
        if !has('C') {
            public = "UC";
        }
    }
    // No privileges in the catalog means the server's default: all for the owner, none for others.
    let current = header
        .acl
        .current
        .take()
        .unwrap_or_else(|| header.acl.base.clone());
    header.acl = Acl {
        current: Some(current),
        base: vec![
            acl::grant(Some(&owner), "UC", &owner),
            acl::grant(None, public, &owner),
        ],
    };
}

/// The queries of this file, by name.
pub(crate) fn queries(_version: ServerVersion) -> Vec<(&'static str, String)> {
    vec![("schemas", schemas())]
}
