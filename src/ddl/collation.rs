//! CREATE COLLATION. The version is not written: the target's library has its own.

use crate::graph::Node;
use crate::model::{Collation, CollationProvider};
use crate::sql::literal;

use super::plain;
use super::rendered::Rendered;
use super::target::Target;

pub(super) fn render(target: &Target, node: Node, collation: &Collation) -> Rendered {
    let header = &collation.header;
    let name = header.sql_name();
    let mut options = Vec::new();
    match &collation.provider {
        CollationProvider::Libc { collate, ctype } => {
            options.push(String::from("provider = libc"));
            if collate == ctype {
                options.push(format!("locale = {}", literal(collate)));
            } else {
                options.push(format!("lc_collate = {}", literal(collate)));
                options.push(format!("lc_ctype = {}", literal(ctype)));
            }
        }
        CollationProvider::Icu { locale, rules } => {
            options.push(String::from("provider = icu"));
            options.push(format!("locale = {}", literal(locale)));
            target.needs(rules.is_some(), 16, "ICU rules");
            if let Some(rules) = rules {
                options.push(format!("rules = {}", literal(rules)));
            }
        }
        CollationProvider::Builtin { locale } => {
            let new = locale == "PG_UNICODE_FAST";
            target.needs(true, 17, "the builtin locale provider");
            target.needs(new, 18, "the locale PG_UNICODE_FAST");
            options.push(String::from("provider = builtin"));
            options.push(format!("locale = {}", literal(locale)));
        }
    }
    if !collation.deterministic {
        options.push(String::from("deterministic = false"));
    }
    let create = format!("CREATE COLLATION {name} ({})", options.join(", "));
    plain::render(node, "COLLATION", &name, header, vec![create])
}
