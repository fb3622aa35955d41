//! Roles, memberships, tablespaces, privileges on parameters.

use crate::graph::GrantOrder;
use crate::model::{Acl, Globals, Membership, Role, Tablespace};
use crate::sql::{Quoting, ServerVersion, ident, literal};

use super::privileges::{self, GrantKind};
use super::settings::{assignment, is_known, storage_parameters};
use super::target::Target;
use super::{Form, comment, label};

/// One global and its statements, kept apart by purpose; each element is one statement without
/// semicolon.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Global {
    /// `ROLE`, `ROLE PASSWORD`, `ROLE MEMBERSHIP`, `ROLE SETTINGS`, `TABLESPACE` or
    /// `PARAMETER ACL`.
    pub kind: &'static str,
    /// Its name.
    pub name: String,
    /// The owner, of a tablespace.
    pub owner: Option<String>,
    /// The roles that its statements name, besides the owner; of a membership first the role,
    /// then the member, then the grantor if it is named.
    pub roles: Vec<String>,
    /// Makes it.
    pub create: Vec<String>,
    /// Gives it its owner.
    pub set_owner: Vec<String>,
    /// GRANT and REVOKE.
    pub privileges: Vec<String>,
    /// COMMENT.
    pub comments: Vec<String>,
    /// SECURITY LABEL.
    pub labels: Vec<String>,
    /// The same for servers of other majors, where it differs.
    pub forms: Vec<Form>,
}

/// All globals in an order in which they can be made: roles, each with its password, memberships
/// as `order` says, settings of roles, tablespaces, privileges on parameters.
pub fn render(globals: &Globals, order: &GrantOrder) -> Vec<Global> {
    let mut all = Vec::new();
    for role in &globals.roles {
        all.push(create_role(role));
        all.extend(password(role));
    }
    for &at in &order.grants {
        if let Some(grant) = globals.memberships.get(at) {
            let named = !order.without_grantor.contains(&at);
            all.push(membership(grant, &globals.bootstrap, named));
        }
    }
    if !globals.settings.is_empty() {
        all.push(settings(
            globals.version,
            "ALL",
            "ROLE ALL",
            &globals.settings,
            Vec::new(),
        ));
    }
    for role in globals
        .roles
        .iter()
        .filter(|role| !role.settings.is_empty())
    {
        let object = format!("ROLE {}", ident(&role.name));
        let roles = vec![role.name.clone()];
        all.push(settings(
            globals.version,
            &role.name,
            &object,
            &role.settings,
            roles,
        ));
    }
    for space in &globals.tablespaces {
        all.push(tablespace(space, globals.version));
    }
    for parameter in &globals.parameters {
        let object = format!("PARAMETER {}", super::settings::dotted(&parameter.name));
        all.push(Global {
            kind: "PARAMETER ACL",
            name: parameter.name.clone(),
            roles: named(&parameter.acl, &globals.bootstrap),
            forms: vec![Form {
                before: Some(15),
                privileges: Some(Vec::new()),
                notes: vec!["privileges on parameters are lost".to_owned()],
                ..Form::default()
            }],
            privileges: privileges::on(
                GrantKind::Parameter,
                &object,
                &parameter.acl,
                Some(&globals.bootstrap),
                &Target::new(globals.version),
            ),
            ..Global::default()
        });
    }
    all
}

/// `CREATE ROLE` with what a new role would not have by itself: a role that makes others may not
/// be allowed as much as to say NOSUPERUSER.
fn create_role(role: &Role) -> Global {
    let mut text = format!("CREATE ROLE {}", ident(&role.name));
    let flags = [
        (role.superuser, "SUPERUSER"),
        (!role.inherit, "NOINHERIT"),
        (role.create_role, "CREATEROLE"),
        (role.create_db, "CREATEDB"),
        (role.login, "LOGIN"),
        (role.replication, "REPLICATION"),
        (role.bypass_rls, "BYPASSRLS"),
    ];
    for (_, word) in flags.iter().filter(|(set, _)| *set) {
        text.push_str(&format!(" {word}"));
    }
    if let Some(limit) = role.connection_limit {
        text.push_str(&format!(" CONNECTION LIMIT {limit}"));
    }
    if let Some(until) = &role.valid_until {
        text.push_str(&format!(" VALID UNTIL {}", literal(until)));
    }
    let object = format!("ROLE {}", ident(&role.name));
    Global {
        kind: "ROLE",
        name: role.name.clone(),
        create: vec![text],
        comments: comments(&object, role.comment.as_deref()),
        labels: labels(&object, &role.labels),
        ..Global::default()
    }
}

fn password(role: &Role) -> Option<Global> {
    let password = role.password.as_ref()?;
    Some(Global {
        kind: "ROLE PASSWORD",
        name: role.name.clone(),
        roles: vec![role.name.clone()],
        create: vec![format!(
            "ALTER ROLE {} PASSWORD {}",
            ident(&role.name),
            literal(&password.0)
        )],
        ..Global::default()
    })
}

/// What a membership's statement gives: `ADMIN`, and where they are said (since 16) `INHERIT` and
/// `SET`. None for a statement that this module did not write.
pub fn granted(statement: &str, role: &str, member: &str) -> Option<[Option<bool>; 3]> {
    let rest = [Quoting::WhereNeeded, Quoting::Always]
        .iter()
        .find_map(|quoting| {
            let names = || format!("GRANT {} TO {}", ident(role), ident(member));
            statement.strip_prefix(&quoting.scope(names))
        })?;
    let options = match rest.split_once(" GRANTED BY ") {
        Some((options, _)) => options,
        None => rest,
    };
    let says = |option: &str| {
        let at = |word: &str| options.contains(&format!("{option} {word}"));
        match (at("TRUE"), at("FALSE")) {
            (false, false) => None,
            (on, _) => Some(on),
        }
    };
    let admin = says("ADMIN").or(Some(options.contains("ADMIN OPTION")));
    Some([admin, says("INHERIT"), says("SET")])
}

/// What the role made by initdb granted is granted without saying so: that role may have another
/// name on the target.
fn membership(grant: &Membership, bootstrap: &str, with_grantor: bool) -> Global {
    let (role, member) = (&grant.role, &grant.member);
    let mut text = format!("GRANT {} TO {}", ident(role), ident(member));
    let mut forms = Vec::new();
    let since = [role, member]
        .into_iter()
        .filter_map(|role| privileges::predefined_since(role))
        .max();
    if let Some(since) = since {
        forms.push(Form {
            before: Some(since),
            create: Some(Vec::new()),
            notes: vec![
                "memberships in roles of the server's own that are not there are lost".to_owned(),
            ],
            ..Form::default()
        });
    }
    if let (Some(inherit), Some(set)) = (grant.inherit, grant.set)
        && since.is_none_or(|since| since < 16)
    {
        let admin = if grant.admin {
            " WITH ADMIN OPTION"
        } else {
            ""
        };
        let otherwise = !inherit || !set;
        forms.push(Form {
            since,
            before: Some(16),
            create: Some(vec![format!("{text}{admin}")]),
            notes: otherwise
                .then(|| "the options INHERIT and SET of a membership are lost".to_owned())
                .into_iter()
                .collect(),
            ..Form::default()
        });
    }
    let mut options = Vec::new();
    // Before 16 there was one option, and how privileges are inherited was the member's affair.
    match (grant.inherit, grant.set) {
        (Some(inherit), Some(set)) => {
            let word = |name: &str, on| format!("{name} {}", if on { "TRUE" } else { "FALSE" });
            options.push(word("ADMIN", grant.admin));
            options.push(word("INHERIT", inherit));
            options.push(word("SET", set));
        }
        _ if grant.admin => options.push("ADMIN OPTION".to_owned()),
        _ => {}
    }
    if !options.is_empty() {
        text.push_str(&format!(" WITH {}", options.join(", ")));
    }
    let mut roles = vec![role.clone(), member.clone()];
    let grantor = grant.grantor.as_ref();
    if let Some(grantor) = grantor.filter(|grantor| with_grantor && *grantor != bootstrap) {
        text.push_str(&format!(" GRANTED BY {}", ident(grantor)));
        roles.push(grantor.clone());
    }
    Global {
        kind: "ROLE MEMBERSHIP",
        name: format!("{member} in {role}"),
        roles,
        create: vec![text],
        forms,
        ..Global::default()
    }
}

fn settings(
    source: ServerVersion,
    name: &str,
    object: &str,
    settings: &[(String, String)],
    roles: Vec<String>,
) -> Global {
    let statement = |(name, value): &(String, String)| {
        format!("ALTER {object} SET {}", assignment(name, value))
    };
    let mut forms: Vec<Form> = Vec::new();
    for major in ServerVersion::OLDEST_MAJOR..=ServerVersion::NEWEST_MAJOR {
        let version = ServerVersion::from_num(major * 10_000);
        let (kept, lost): (Vec<_>, Vec<_>) = settings
            .iter()
            .partition(|(name, _)| is_known(name, version));
        if lost.is_empty() || major == source.major() {
            continue;
        }
        let form = Form {
            since: (major > ServerVersion::OLDEST_MAJOR).then_some(major),
            before: (major < ServerVersion::NEWEST_MAJOR).then_some(major + 1),
            create: Some(kept.into_iter().map(statement).collect()),
            notes: lost
                .into_iter()
                .map(|(name, _)| format!("the server has no setting {name}"))
                .collect(),
            ..Form::default()
        };
        match forms.last_mut() {
            Some(last)
                if last.before == form.since
                    && (&last.create, &last.notes) == (&form.create, &form.notes) =>
            {
                last.before = form.before;
            }
            _ => forms.push(form),
        }
    }
    Global {
        kind: "ROLE SETTINGS",
        name: name.to_owned(),
        roles,
        create: settings.iter().map(statement).collect(),
        forms,
        ..Global::default()
    }
}

fn tablespace(space: &Tablespace, version: ServerVersion) -> Global {
    let name = ident(&space.name);
    let object = format!("TABLESPACE {name}");
    let mut create = Vec::new();
    match &space.location {
        Some(location) => {
            create.push(format!("CREATE {object} LOCATION {}", literal(location)));
        }
        None => create.extend([
            String::from("SET allow_in_place_tablespaces = on"),
            format!("CREATE {object} LOCATION ''"),
            String::from("RESET allow_in_place_tablespaces"),
        ]),
    }
    if !space.options.is_empty() {
        create.push(format!(
            "ALTER {object} SET ({})",
            storage_parameters(&space.options)
        ));
    }
    Global {
        kind: "TABLESPACE",
        name: space.name.clone(),
        owner: Some(space.owner.clone()),
        roles: named(&space.acl, &space.owner),
        create,
        set_owner: vec![format!("ALTER {object} OWNER TO {}", ident(&space.owner))],
        privileges: privileges::on(
            GrantKind::Tablespace,
            &object,
            &space.acl,
            Some(&space.owner),
            &Target::new(version),
        ),
        comments: comments(&object, space.comment.as_deref()),
        labels: labels(&object, &space.labels),
        forms: Vec::new(),
    }
}

fn named(acl: &Acl, owner: &str) -> Vec<String> {
    let roles = acl.named_roles(Some(owner)).into_iter();
    roles.map(str::to_owned).collect()
}

fn comments(object: &str, text: Option<&str>) -> Vec<String> {
    text.map(|text| comment::on(object, text))
        .into_iter()
        .collect()
}

fn labels(object: &str, labels: &[(String, String)]) -> Vec<String> {
    let on = |(provider, text): &(String, String)| label::on(object, provider, text);
    labels.iter().map(on).collect()
}
