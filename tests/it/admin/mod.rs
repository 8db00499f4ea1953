//! The administration: who may do what, who sees whose, and what reaches a page.

mod routes;
mod login;
mod escapes;
mod changes;
mod classes;
mod feeds;
mod pages;
mod alone;
