//! Comments and labels on objects that are not made by the archive.

use crate::graph::Node;
use crate::model::Remark;

use super::rendered::Rendered;
use super::{comment, label};

pub(super) fn render(node: Node, remark: &Remark) -> Rendered {
    let kind = if remark.comment.is_some() {
        "COMMENT"
    } else {
        "SECURITY LABEL"
    };
    let mut rendered = Rendered::named(node, kind, None, remark.object.clone());
    rendered.comments = remark
        .comment
        .iter()
        .map(|text| comment::on(&remark.object, text))
        .collect();
    rendered.labels = remark
        .labels
        .iter()
        .map(|(provider, text)| label::on(&remark.object, provider, text))
        .collect();
    rendered
}
