//! The administration: who may do what, who sees whose, and what reaches a page.

mod routes;
mod login;
mod proofs;
mod escapes;
mod strangers;
mod changes;
mod classes;
mod feeds;
mod fuzzed;
mod pages;
mod alone;
