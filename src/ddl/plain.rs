//! What the statements of most classes have alike: DROP, owner, comment and labels name the object
//! in the same way.

use crate::graph::Node;
use crate::model::{Components, Header};
use crate::sql::ident;

use super::rendered::Rendered;
use super::{comment, label};

/// An object of the class that SQL calls `kind`, and that statements name as `address`: with its
/// arguments, its access method, or whatever else it takes to tell it apart. `create` is written
/// where the definition is wanted.
pub(super) fn render(
    node: Node,
    kind: &'static str,
    address: &str,
    header: &Header,
    create: Vec<String>,
) -> Rendered {
    let object = format!("{kind} {address}");
    let mut rendered = Rendered::new(node, kind, header);
    rendered.owner.clone_from(&header.owner);
    if header.wanted.has(Components::DEFINITION) {
        rendered.create = create;
        rendered
            .drop
            .push(format!("DROP {kind} IF EXISTS {address}"));
        if let Some(owner) = &header.owner {
            rendered
                .set_owner
                .push(format!("ALTER {object} OWNER TO {}", ident(owner)));
        }
    }
    rendered.comments = comment::of(header, &object);
    rendered.labels = label::of(header, &object, |_| None);
    rendered
}
