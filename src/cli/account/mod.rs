//! `portero user|client|project|company …`: one way in which accounts are made; the admin API is the other.
//!
//! A new secret ends the tokens that the old one gave, with one exception: `rotate-secret` of a client or project lets
//! them live on until they expire, as `maxpoint`'s document promises its clients, unless `--revoke` is given. With
//! `--overlap` the old secret is taken too for a while. A gateway on the same store sees what a command changed within
//! a second.
//!
//! ```text
//! command    the commands; arguments: what they take
//! context    what they work with
//! execute    does what is asked with an account; set: what of it is changed; show: what is told of it
//! company    the same for companies
//! ```

mod arguments;
mod command;
mod company;
mod context;
mod execute;
mod set;
mod show;
#[cfg(test)]
mod tests;

pub use arguments::{
    Action, Add, ClientName, Common, List, NewClient, NewProject, NewUser, ProjectName, RotateSecret, Set, SetPassword,
    SetRole, Target, UserName,
};
pub use command::Command;
pub use company::{CompanyAction, CompanyTarget};
pub use context::Context;
pub use set::{SetClient, SetCommon, SetProject, SetUser};
