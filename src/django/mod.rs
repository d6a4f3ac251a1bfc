//! A Django project as `init` needs to know it: where manage.py, the settings and the `.env` files
//! are, and what the settings do about SECRET_KEY. Nothing of the project is ever run.

mod edit;
mod gitignore;
mod history;
mod literal;
mod project;
mod settings;
mod tokens;

pub use edit::{Edit, edited};
pub use gitignore::gitignore_lines;
pub use history::{is_tracked, key_in_git_history};
pub use project::{Project, find};
pub use settings::{SecretKey, literal, secret_keys};
