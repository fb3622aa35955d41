//! What an object's privileges are compared with: `pg_init_privs` holds what initdb or CREATE
//! EXTENSION left, otherwise the server's default for the kind of object counts.

/// The join that the columns of [`columns`] need. `class` is the catalog's name, `alias` its alias
/// in the query.
pub(crate) fn join(class: &str, alias: &str) -> String {
    format!(
        "LEFT JOIN pg_catalog.pg_init_privs ip ON ip.classoid = 'pg_catalog.{class}'::regclass \
         AND ip.objoid = {alias}.oid AND ip.objsubid = 0"
    )
}

/// Two columns of type `text[]`, `acl` (null: the default) and `acl_base`, as
/// [`acl::parse`](super::acl::parse) takes them. `kind` is the letter that `acldefault` knows.
pub(crate) fn columns(acl: &str, kind: char, owner: &str) -> String {
    // A null that was something else at first means that it was set back to the default.
    format!(
        "coalesce({acl}, CASE WHEN ip.initprivs IS NOT NULL \
         THEN pg_catalog.acldefault('{kind}', {owner}) END)::text[] AS acl, \
         coalesce(ip.initprivs, pg_catalog.acldefault('{kind}', {owner}))::text[] AS acl_base"
    )
}
