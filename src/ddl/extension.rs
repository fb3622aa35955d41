//! CREATE EXTENSION.
//!
//! Without a version, so that the target installs the one it has (an option of dump and restore puts
//! it there); without an owner, since no
//! statement can set it.

use crate::graph::Node;
use crate::model::{Components, Extension};
use crate::sql::ident;

use super::rendered::Rendered;
use super::{comment, label};

pub(super) fn render(node: Node, extension: &Extension) -> Rendered {
    let header = &extension.header;
    let name = ident(&header.name);
    let mut rendered = Rendered::named(node, "EXTENSION", None, header.name.clone());
    if header.wanted.has(Components::DEFINITION) {
        rendered.version = Some(extension.version.clone());
        rendered.create.push(format!(
            "CREATE EXTENSION IF NOT EXISTS {name} WITH SCHEMA {}",
            ident(&extension.schema)
        ));
        rendered
            .drop
            .push(format!("DROP EXTENSION IF EXISTS {name}"));
    }
    let object = format!("EXTENSION {name}");
    rendered.comments = comment::of(header, &object);
    rendered.labels = label::of(header, &object, |_| None);
    rendered
}
