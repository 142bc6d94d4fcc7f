//! Tokens, attacked: what is minted opens, and nothing else does.

mod claims;
mod fixture;
mod foreign;
mod jwt;
mod legacy;
mod oracle;
mod sealed;
mod times;
