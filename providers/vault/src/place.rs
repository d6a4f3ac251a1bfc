//! Where a store is within a server: the mount of the secrets engine, the path below it, and how
//! secrets are laid out there.

use secrets_api::{Error, ErrorKind, Result, StoreUri};

/// How secrets lie at the path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Layout {
    /// All are fields of one document.
    Document,
    /// Each has a path of its own below.
    Each,
}

/// The version of the key-value engine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Version {
    One,
    Two,
}

/// A place within a server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Place {
    pub(crate) mount: String,
    pub(crate) path: String,
    pub(crate) version: Version,
    pub(crate) layout: Layout,
    pub(crate) namespace: Option<String>,
}

fn wrong(what: impl Into<String>) -> Error {
    Error::new(ErrorKind::InvalidConfig, what)
        .with_hint("write `vault:MOUNT/PATH`, such as `vault:secret/shop/production`")
}

/// Segments of a path, checked: nothing that a server, or a URL's own rules, would take for
/// another path.
pub(crate) fn check_path(path: &str) -> Result<()> {
    let strange = |s: &str| {
        s.is_empty() || s == "." || s == ".." || s.contains(['\\', '%', '#']) || s.trim() != s
    };
    if path.split('/').any(strange) {
        return Err(wrong("the path has an empty, relative or encoded part"));
    }
    Ok(())
}

impl Place {
    pub(crate) fn parse(uri: &StoreUri) -> Result<Self> {
        let known = ["kv", "layout", "mount", "namespace"];
        if let Some(option) = uri.unknown_option(&known) {
            return Err(wrong(format!("a vault store has no option `{option}`")).with_hint(
                "its options are kv=1|2, layout=document|each, mount=MOUNT, namespace=NAMESPACE",
            ));
        }
        let location = uri.location();
        check_path(location)?;
        let (mount, path) = match uri.option("mount") {
            Some(mount) => {
                let below = location
                    .strip_prefix(mount)
                    .and_then(|r| r.strip_prefix('/'));
                let path = below.ok_or_else(|| {
                    wrong("the option mount is not the first part of the path")
                        .with_hint("write `vault:TEAM/KV/PATH?mount=TEAM/KV`")
                })?;
                (mount, path)
            }
            None => location
                .split_once('/')
                .ok_or_else(|| wrong("there is a mount and no path below it"))?,
        };
        let version = match uri.option("kv") {
            None | Some("2") => Version::Two,
            Some("1") => Version::One,
            Some(_) => return Err(wrong("kv is 1 or 2")),
        };
        let layout = match uri.option("layout") {
            None | Some("document") => Layout::Document,
            Some("each") => Layout::Each,
            Some(_) => return Err(wrong("layout is document or each")),
        };
        if version == Version::Two
            && let Some((first @ ("data" | "metadata"), rest)) = path.split_once('/')
        {
            return Err(wrong(format!(
                "`{first}/` belongs to the server's interface, not to the path"
            ))
            .with_hint(format!("write `vault:{mount}/{rest}`")));
        }
        Ok(Self {
            mount: mount.to_owned(),
            path: path.to_owned(),
            version,
            layout,
            namespace: uri.option("namespace").map(str::to_owned),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place(text: &str) -> Result<Place> {
        Place::parse(&StoreUri::parse(text).unwrap())
    }

    #[test]
    fn a_place_is_a_mount_and_a_path() {
        let found = place("vault:secret/shop/production").unwrap();
        assert_eq!((&*found.mount, &*found.path), ("secret", "shop/production"));
        let found = place("vault:team/kv/shop?mount=team/kv&kv=1&layout=each").unwrap();
        assert_eq!((&*found.mount, &*found.path), ("team/kv", "shop"));
        assert_eq!((found.version, found.layout), (Version::One, Layout::Each));
    }

    #[test]
    fn a_place_that_makes_no_sense_is_answered_with_how_to_write_it() {
        for text in [
            "vault:",
            "vault:secret",
            "vault:secret/",
            "vault:/shop",
            "vault:secret//shop",
            "vault:secret/../sys/raw",
            "vault:secret/./shop",
            "vault:secret/a%2f..%2fb",
            "vault:secret/shop?kv=3",
            "vault:secret/shop?layout=all",
            "vault:secret/shop?version=2",
            "vault:secret/shop?mount=kv",
        ] {
            let error = place(text).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::InvalidConfig, "{text}");
            assert!(error.hint().is_some(), "{text}");
        }
        let error = place("vault:secret/data/shop/dev").unwrap_err();
        assert_eq!(error.hint(), Some("write `vault:secret/shop/dev`"));
    }
}
