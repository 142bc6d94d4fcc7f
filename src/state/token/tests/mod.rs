//! Tokens, attacked: what is minted opens, and nothing else does.

mod claims;
mod fixture;
mod jwt;
mod oracle;
mod sealed;
mod times;
