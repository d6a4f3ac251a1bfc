//! Changes to a manifest's text that leave comments, order and spacing as they are.

use toml_edit::{Array, DocumentMut, Item, Table, value};

use crate::exit::{Failure, Result};

/// A manifest under edit.
#[derive(Debug)]
pub struct Editor(DocumentMut);

impl Editor {
    /// Starts from this text.
    ///
    /// # Errors
    /// If it is not TOML.
    pub fn new(text: &str) -> Result<Self> {
        text.parse().map(Self).map_err(|_| {
            Failure::usage("secrets.toml is not TOML")
                .with_hint("run `secrets list`: it says where")
        })
    }

    /// The text as it now is.
    pub fn into_text(self) -> String {
        self.0.to_string()
    }

    /// Declares a secret of this kind, unless it is declared; says whether anything changed.
    pub fn declare(&mut self, name: &str, kind: Option<&str>) -> bool {
        let secrets = self.0.entry("secrets").or_insert_with(|| {
            let mut table = Table::new();
            table.set_implicit(true);
            Item::Table(table)
        });
        let Some(secrets) = secrets.as_table_like_mut() else {
            return false;
        };
        if secrets.contains_key(name) {
            return false;
        }
        let mut entry = Table::new();
        if let Some(kind) = kind {
            entry.insert("kind", value(kind));
        }
        secrets.insert(name, Item::Table(entry));
        true
    }

    /// Adds `name` to `project.allow-names`; says whether anything changed.
    pub fn allow(&mut self, name: &str) -> bool {
        let project = self
            .0
            .entry("project")
            .or_insert_with(|| Item::Table(Table::new()));
        let Some(project) = project.as_table_like_mut() else {
            return false;
        };
        let list = project
            .entry("allow-names")
            .or_insert_with(|| value(Array::new()));
        let Some(list) = list.as_array_mut() else {
            return false;
        };
        if list.iter().any(|v| v.as_str() == Some(name)) {
            return false;
        }
        list.push(name);
        true
    }
}

/// The text of a new manifest.
pub fn initial(
    project: &str,
    environment: &str,
    source: &[String],
    secrets: &[(String, Option<&str>)],
) -> String {
    let list: Array = source.iter().map(String::as_str).collect();
    let mut text = format!(
        "# Names, kinds and stores of this project's secrets. Never a value: commit this file.\n\
         \n[project]\nname = {}\ndefault-environment = {}\n\
         \n[environments.{}]\n# layers: later ones win\nsource = {list}\n",
        value(project),
        value(environment),
        toml_edit::Key::new(environment),
    );
    for (name, kind) in secrets {
        text.push_str(&format!("\n[secrets.{name}]\n"));
        if let Some(kind) = kind {
            text.push_str(&format!("kind = {}\n", value(*kind)));
        }
        if *kind == Some("django-key") {
            // Django does not start without one.
            text.push_str("required = true\n");
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::manifest::parse;

    #[test]
    fn a_new_manifest_is_a_valid_one() {
        let text = initial(
            "my \"shop\"",
            "dev",
            &["dotenv:.env".into(), "local:".into()],
            &[
                ("SECRET_KEY".into(), Some("django-key")),
                ("DEBUG".into(), None),
            ],
        );
        let manifest = parse(&text, "m").unwrap();
        assert_eq!(manifest.project.name.as_deref(), Some("my \"shop\""));
        assert_eq!(
            manifest.environments["dev"].source,
            ["dotenv:.env", "local:"]
        );
        assert_eq!(
            manifest.secrets["SECRET_KEY"].kind.as_deref(),
            Some("django-key")
        );
    }

    #[test]
    fn edits_leave_the_rest_byte_for_byte() {
        let text = "# mine\n[project]  # here\nname = 'shop'\n\n[secrets.A]\nkind='url'   # odd\n";
        let mut editor = Editor::new(text).unwrap();
        assert!(editor.declare("B", Some("password")));
        assert!(!editor.declare("A", None));
        assert!(editor.allow("PATH"));
        assert!(!editor.allow("PATH"));
        assert_eq!(
            editor.into_text(),
            "# mine\n[project]  # here\nname = 'shop'\nallow-names = [\"PATH\"]\n\n[secrets.A]\nkind='url'   # odd\n\n[secrets.B]\nkind = \"password\"\n"
        );
    }
}
