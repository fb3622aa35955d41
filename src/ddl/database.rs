//! The database itself: CREATE DATABASE and its properties, for the version that is to run them.
//!
//! Not part of an order: a dump keeps these in the manifest, worded for the source's own version and
//! name, and a restore runs them only when it is told to create the database. CREATE DATABASE must
//! be sent outside of any transaction block.

use crate::model::DatabaseProperties;
use crate::sql::{ServerVersion, ident, literal};

use super::privileges::GrantKind;
pub use super::settings::is_known;

use super::settings::assignment;
use super::target::Target;
use super::{comment, label, privileges};

/// The first major that can give a database its locale provider and that provider's locale; 0 for
/// the operating system's.
pub fn locale_provider_since(database: &DatabaseProperties) -> u32 {
    match (
        database.locale_provider.as_str(),
        database.locale.as_deref(),
    ) {
        ("icu", _) => 15,
        ("builtin", Some("PG_UNICODE_FAST")) => 18,
        ("builtin", _) => 17,
        _ => 0,
    }
}

/// `CREATE DATABASE`, worded for a target of this version. A clause that the target does not
/// know is left out: below 15 the locale provider, below 16 ICU rules, below 17 the builtin
/// provider, below 18 with its locale `PG_UNICODE_FAST`.
pub fn create(database: &DatabaseProperties, name: &str, target: ServerVersion) -> Vec<String> {
    let mut text = format!(
        "CREATE DATABASE {} WITH TEMPLATE = template0 ENCODING = {}",
        ident(name),
        literal(&database.encoding)
    );
    let provider = database.locale_provider.as_str();
    let knows_provider = target.at_least(locale_provider_since(database).max(15));
    if knows_provider {
        text.push_str(&format!(" LOCALE_PROVIDER = {}", ident(provider)));
    }
    if database.collate == database.ctype {
        text.push_str(&format!(" LOCALE = {}", literal(&database.collate)));
    } else {
        text.push_str(&format!(
            " LC_COLLATE = {} LC_CTYPE = {}",
            literal(&database.collate),
            literal(&database.ctype)
        ));
    }
    if let Some(locale) = database.locale.as_ref().filter(|_| knows_provider) {
        match provider {
            "builtin" => text.push_str(&format!(" BUILTIN_LOCALE = {}", literal(locale))),
            "icu" => text.push_str(&format!(" ICU_LOCALE = {}", literal(locale))),
            _ => {}
        }
    }
    if let Some(rules) = database.icu_rules.as_ref()
        && target.at_least(16)
    {
        text.push_str(&format!(" ICU_RULES = {}", literal(rules)));
    }
    if let Some(tablespace) = &database.tablespace {
        text.push_str(&format!(" TABLESPACE = {}", ident(tablespace)));
    }
    vec![text]
}

/// `ALTER DATABASE … OWNER TO`.
pub fn owner(database: &DatabaseProperties, name: &str) -> Vec<String> {
    database
        .header
        .owner
        .iter()
        .map(|owner| format!("ALTER DATABASE {} OWNER TO {}", ident(name), ident(owner)))
        .collect()
}

/// Connection limit, template flag and settings, also those of roles in this database, worded for a
/// target of this version: settings that it does not have are left out.
pub fn properties(database: &DatabaseProperties, name: &str, target: ServerVersion) -> Vec<String> {
    let name = ident(name);
    let mut statements = Vec::new();
    if let Some(limit) = database.connection_limit {
        statements.push(format!("ALTER DATABASE {name} CONNECTION LIMIT = {limit}"));
    }
    if database.is_template {
        statements.push(format!("ALTER DATABASE {name} IS_TEMPLATE = true"));
    }
    let settings = database.settings.iter();
    for (role, setting, value) in settings.filter(|(_, name, _)| is_known(name, target)) {
        let assignment = assignment(setting, value);
        statements.push(match role {
            None => format!("ALTER DATABASE {name} SET {assignment}"),
            Some(role) => format!(
                "ALTER ROLE {} IN DATABASE {name} SET {assignment}",
                ident(role)
            ),
        });
    }
    statements
}

/// GRANT and REVOKE on the database; `source` is the version the privileges were read from.
pub fn acl(database: &DatabaseProperties, name: &str, source: ServerVersion) -> Vec<String> {
    privileges::on(
        GrantKind::Database,
        &format!("DATABASE {}", ident(name)),
        &database.header.acl,
        database.header.owner.as_deref(),
        &Target::new(source),
    )
}

/// COMMENT of the database.
pub fn comments(database: &DatabaseProperties, name: &str) -> Vec<String> {
    let object = format!("DATABASE {}", ident(name));
    let comment = database.header.comment.iter();
    comment.map(|text| comment::on(&object, text)).collect()
}

/// SECURITY LABELs of the database.
pub fn labels(database: &DatabaseProperties, name: &str) -> Vec<String> {
    let object = format!("DATABASE {}", ident(name));
    let labels = database.header.labels.iter();
    labels
        .map(|(_, provider, label)| label::on(&object, provider, label))
        .collect()
}

#[cfg(test)]
mod tests {
    use pretty_assertions::assert_eq;

    use super::*;
    use crate::model::{Address, Class, Header};

    const fn version(major: u32) -> ServerVersion {
        ServerVersion::from_num(major * 10_000)
    }

    fn database(provider: &str, locale: Option<&str>) -> DatabaseProperties {
        let address = Address::new(Class::Database, 5);
        DatabaseProperties {
            header: Header {
                owner: Some(String::from("Boss")),
                ..Header::new(address, None, String::from("shop"))
            },
            encoding: String::from("UTF8"),
            locale_provider: provider.to_owned(),
            collate: String::from("C.UTF-8"),
            ctype: String::from("C.UTF-8"),
            locale: locale.map(str::to_owned),
            icu_rules: None,
            tablespace: None,
            connection_limit: None,
            is_template: false,
            settings: Vec::new(),
        }
    }

    fn created(database: &DatabaseProperties, major: u32) -> String {
        create(database, "My \"shop\"", version(major)).concat()
    }

    #[test]
    fn the_target_is_not_asked_for_what_it_does_not_know() {
        let start =
            "CREATE DATABASE \"My \"\"shop\"\"\" WITH TEMPLATE = template0 ENCODING = 'UTF8'";
        let libc = database("libc", None);
        assert_eq!(created(&libc, 14), format!("{start} LOCALE = 'C.UTF-8'"));
        assert_eq!(
            created(&libc, 15),
            format!("{start} LOCALE_PROVIDER = libc LOCALE = 'C.UTF-8'")
        );
        let builtin = database("builtin", Some("C.UTF-8"));
        assert_eq!(created(&builtin, 16), format!("{start} LOCALE = 'C.UTF-8'"));
        assert_eq!(
            created(&builtin, 17),
            format!(
                "{start} LOCALE_PROVIDER = builtin LOCALE = 'C.UTF-8' BUILTIN_LOCALE = 'C.UTF-8'"
            )
        );
        let fast = database("builtin", Some("PG_UNICODE_FAST"));
        assert_eq!(created(&fast, 17), created(&libc, 14));
        assert!(created(&fast, 18).ends_with(" BUILTIN_LOCALE = 'PG_UNICODE_FAST'"));
        let mut icu = database("icu", Some("de"));
        icu.ctype = String::from("C");
        icu.icu_rules = Some(String::from("& V << w"));
        icu.tablespace = Some(String::from("Fast"));
        assert_eq!(
            created(&icu, 15),
            format!(
                "{start} LOCALE_PROVIDER = icu LC_COLLATE = 'C.UTF-8' LC_CTYPE = 'C' \
                 ICU_LOCALE = 'de' TABLESPACE = \"Fast\""
            )
        );
        assert!(created(&icu, 16).contains(" ICU_RULES = '& V << w'"));
    }

    #[test]
    fn properties_name_the_new_database() {
        let mut shop = database("libc", None);
        shop.connection_limit = Some(7);
        shop.is_template = true;
        let setting = |role: Option<&str>, name: &str, value: &str| {
            (role.map(str::to_owned), name.to_owned(), value.to_owned())
        };
        shop.settings = vec![
            setting(None, "search_path", "app, \"$user\""),
            setting(Some("Boss"), "work_mem", "64MB"),
        ];
        assert_eq!(
            properties(&shop, "New", version(18)),
            [
                "ALTER DATABASE \"New\" CONNECTION LIMIT = 7",
                "ALTER DATABASE \"New\" IS_TEMPLATE = true",
                "ALTER DATABASE \"New\" SET search_path TO 'app', '$user'",
                "ALTER ROLE \"Boss\" IN DATABASE \"New\" SET work_mem TO '64MB'",
            ]
        );
        assert_eq!(
            owner(&shop, "New"),
            ["ALTER DATABASE \"New\" OWNER TO \"Boss\""]
        );
    }
}
