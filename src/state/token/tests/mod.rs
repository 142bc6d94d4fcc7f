//! Tokens, attacked: what is minted opens, and nothing else does.

mod claims;
mod external;
mod fixture;
mod jwt;
mod legacy;
mod oracle;
mod providers;
mod sealed;
mod times;
