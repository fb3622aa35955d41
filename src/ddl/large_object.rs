//! Large objects: they are made empty, given their owner and privileges, and filled later.

use crate::graph::Node;
use crate::model::{LargeObjectGroup, Oid};
use crate::sql::ident;

use super::privileges::GrantKind;
use super::rendered::Rendered;
use super::target::Target;
use super::{comment, label, privileges};

pub(super) fn render(node: Node, group: &LargeObjectGroup, target: &Target) -> Rendered {
    let mut rendered = Rendered::named(node, "BLOB METADATA", None, name(group));
    rendered.owner = Some(group.owner.clone());
    let oids: Vec<Oid> = group.objects.iter().map(|object| object.oid).collect();
    if oids.is_empty() {
        return rendered;
    }
    let list: Vec<_> = oids.iter().map(Oid::to_string).collect();
    let array = format!("'{{{}}}'::pg_catalog.oid[]", list.join(","));
    rendered.create.push(format!(
        "SELECT pg_catalog.lo_create(o) FROM pg_catalog.unnest({array}) AS o"
    ));
    rendered.drop.push(format!(
        "SELECT pg_catalog.lo_unlink(oid) FROM pg_catalog.pg_largeobject_metadata WHERE oid = ANY ({array})"
    ));
    rendered.set_owner = oids
        .iter()
        .map(|oid| format!("ALTER LARGE OBJECT {oid} OWNER TO {}", ident(&group.owner)))
        .collect();
    rendered.privileges = privileges::on(
        GrantKind::LargeObject,
        &format!("LARGE OBJECT {}", list.join(", ")),
        &group.acl,
        Some(&group.owner),
        target,
    );
    for object in &group.objects {
        let on = format!("LARGE OBJECT {}", object.oid);
        let comment = object.comment.as_ref();
        rendered
            .comments
            .extend(comment.map(|text| comment::on(&on, text)));
        let labels = object.labels.iter();
        rendered
            .labels
            .extend(labels.map(|(provider, label)| label::on(&on, provider, label)));
    }
    rendered
}

/// The contents' node; the bytes are the data of its entry.
pub(super) fn render_data(node: Node, group: &LargeObjectGroup) -> Rendered {
    Rendered::named(node, "BLOBS", None, name(group))
}

/// `LARGE OBJECT 5` or `LARGE OBJECTS 5..9`.
fn name(group: &LargeObjectGroup) -> String {
    match group.objects.as_slice() {
        [only] => format!("LARGE OBJECT {}", only.oid),
        [first, .., last] => format!("LARGE OBJECTS {}..{}", first.oid, last.oid),
        [] => String::from("LARGE OBJECTS"),
    }
}
