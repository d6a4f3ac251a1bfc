//! Changes one file through [`secrets_platform::files::update`], for the tests that kill it:
//! `change PATH CONTENT`. With an empty content the file is removed.

use secrets_platform::files::{self, Edit, Options};

fn main() {
    let mut arguments = std::env::args().skip(1);
    let (Some(path), Some(content)) = (arguments.next(), arguments.next()) else {
        std::process::exit(2);
    };
    let options = Options {
        create_parents: true,
        ..Options::default()
    };
    let edit = |_: Option<&files::Contents>| {
        let bytes = content.clone().into_bytes();
        Ok((
            if bytes.is_empty() {
                Edit::Remove
            } else {
                Edit::Replace(bytes.into())
            },
            (),
        ))
    };
    if files::update(path.as_ref(), &options, edit).is_err() {
        std::process::exit(1);
    }
}
