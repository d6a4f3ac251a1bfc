//! The least policy for a store, in the servers' own language
//! (<https://developer.hashicorp.com/vault/docs/concepts/policies>).

use std::fmt::Write as _;

use crate::place::{Layout, Place, Version};

/// For key-value secrets.
pub(crate) fn kv(place: &Place) -> String {
    let Place { mount, path, .. } = place;
    let below = match place.layout {
        Layout::Document => String::new(),
        Layout::Each => "/+".to_owned(),
    };
    let mut rules: Vec<(String, &str, &str)> = Vec::new();
    match (place.version, place.layout) {
        (Version::One, layout) => {
            rules.push((
                format!("{mount}/{path}{below}"),
                "\"create\", \"read\", \"update\", \"delete\"",
                "values; \"read\" alone for those who do not write",
            ));
            if layout == Layout::Each {
                rules.push((format!("{mount}/{path}"), "\"list\"", "names"));
            }
        }
        (Version::Two, layout) => {
            rules.push((
                format!("{mount}/data/{path}{below}"),
                "\"create\", \"read\", \"update\"",
                "values; \"read\" alone for those who do not write",
            ));
            rules.push((
                format!("{mount}/metadata/{path}{below}"),
                "\"read\"",
                "history, and whether anything has changed",
            ));
            match layout {
                Layout::Document => rules.push((
                    format!("{mount}/subkeys/{path}"),
                    "\"read\"",
                    "names without values",
                )),
                Layout::Each => {
                    rules.push((format!("{mount}/metadata/{path}"), "\"list\"", "names"));
                    rules.push((format!("{mount}/delete/{path}/+"), "\"update\"", "deletion"));
                    rules.push((
                        format!("{mount}/undelete/{path}/+"),
                        "\"update\"",
                        "restore",
                    ));
                    rules.push((
                        format!("{mount}/destroy/{path}/+"),
                        "\"update\"",
                        "`history prune`",
                    ));
                }
            }
        }
    }
    hcl(&rules)
}

/// For credentials that are issued.
pub(crate) fn dynamic(path: &str) -> String {
    hcl(&[
        (path.to_owned(), "\"read\"", "issues credentials"),
        ("sys/leases/renew".to_owned(), "\"update\"", "renews them"),
        ("sys/leases/revoke".to_owned(), "\"update\"", "ends them"),
    ])
}

fn hcl(rules: &[(String, &str, &str)]) -> String {
    let mut text = String::new();
    for (path, capabilities, why) in rules {
        let _ = write!(
            text,
            "# {why}\npath \"{path}\" {{\n  capabilities = [{capabilities}]\n}}\n\n"
        );
    }
    text.truncate(text.trim_end().len());
    text.push('\n');
    text
}
