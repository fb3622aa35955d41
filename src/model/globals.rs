//! What belongs to the whole server: roles, who is in whom, tablespaces, privileges on parameters.

use std::fmt;

use super::Acl;
use crate::sql::ServerVersion;

/// The globals of a server, read under one snapshot.
#[derive(Clone, Debug)]
pub struct Globals {
    /// The server's version.
    pub version: ServerVersion,
    /// Name of the role that initdb made. It can grant everything, and what a superuser grants
    /// without a word about the grantor counts as granted by it (16+).
    pub bootstrap: String,
    /// Roles other than the predefined ones, in the order of their names.
    pub roles: Vec<Role>,
    /// `ALTER ROLE ALL SET`: name and value as stored.
    pub settings: Vec<(String, String)>,
    /// Memberships other than those between predefined roles, by role, member and grantor.
    pub memberships: Vec<Membership>,
    /// Tablespaces other than initdb's, in the order of their names.
    pub tablespaces: Vec<Tablespace>,
    /// Privileges on configuration parameters (15+), in the order of their names.
    pub parameters: Vec<Parameter>,
}

/// A stored password: a hash in the server's form. It is never shown.
#[derive(Clone, PartialEq, Eq)]
pub struct PasswordHash(pub String);

impl fmt::Debug for PasswordHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PasswordHash(…)")
    }
}

/// A role. Comment and labels with it.
#[derive(Clone, Debug)]
pub struct Role {
    /// Its name.
    pub name: String,
    /// `SUPERUSER`
    pub superuser: bool,
    /// `INHERIT`
    pub inherit: bool,
    /// `CREATEROLE`
    pub create_role: bool,
    /// `CREATEDB`
    pub create_db: bool,
    /// `LOGIN`
    pub login: bool,
    /// `REPLICATION`
    pub replication: bool,
    /// `BYPASSRLS`
    pub bypass_rls: bool,
    /// `CONNECTION LIMIT`; none for no limit.
    pub connection_limit: Option<i32>,
    /// `VALID UNTIL`, as the server writes it in ISO style.
    pub valid_until: Option<String>,
    /// The stored password; none for none, and where it could not be read or was not wanted.
    pub password: Option<PasswordHash>,
    /// `ALTER ROLE … SET` for all databases: name and value as stored, in their order.
    pub settings: Vec<(String, String)>,
    /// Its comment.
    pub comment: Option<String>,
    /// Security labels: provider and label.
    pub labels: Vec<(String, String)>,
}

/// One grant of one role to another.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Membership {
    /// The role that was granted.
    pub role: String,
    /// Who is in it.
    pub member: String,
    /// Who granted it; none where it means nothing (before 16).
    pub grantor: Option<String>,
    /// `ADMIN`
    pub admin: bool,
    /// `INHERIT` (16+).
    pub inherit: Option<bool>,
    /// `SET` (16+).
    pub set: Option<bool>,
}

/// A tablespace. Comment and labels with it.
#[derive(Clone, Debug)]
pub struct Tablespace {
    /// Its name.
    pub name: String,
    /// Its owner.
    pub owner: String,
    /// Its directory on the server; none for one inside of the data directory.
    pub location: Option<String>,
    /// Its options: name and value.
    pub options: Vec<(String, String)>,
    /// Its privileges.
    pub acl: Acl,
    /// Its comment.
    pub comment: Option<String>,
    /// Security labels: provider and label.
    pub labels: Vec<(String, String)>,
}

/// A configuration parameter that somebody may set.
#[derive(Clone, Debug)]
pub struct Parameter {
    /// Its name.
    pub name: String,
    /// Its privileges, based on those of the role that initdb made.
    pub acl: Acl,
}
