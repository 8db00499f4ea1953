//! Users, roles and rules.

use super::*;
use crate::broker::{Permission, Rule, RuleEffect, RuleId, Subject, TopicPattern};
use secrecy::ExposeSecret;

fn rule(subject: Subject, pattern: &str, effect: RuleEffect) -> NewRule {
    NewRule { subject, pattern: TopicPattern::new(pattern).unwrap(), publish: true, subscribe: false, effect }
}

#[tokio::test]
async fn a_new_store_has_three_roles_with_their_rules_and_no_users() {
    let world = World::new();
    let database = world.create().await;
    let directory = database.directory().await.unwrap();
    let roles: Vec<_> = directory.roles.iter().map(|role| (role.name.as_str(), role.built_in)).collect();
    assert_eq!(roles, [("Admin", true), ("Student", true), ("Teacher", true)]);
    assert!(directory.users.is_empty());
    let rules: Vec<_> = directory.rules.iter().map(|rule| (rule.id.0, rule.pattern.as_str())).collect();
    let expected = [(1, "#"), (2, "$SYS/#"), (3, "school/#"), (4, "students/#"), (5, "students/%u/#"), (6, "school/#")];
    assert_eq!(rules, expected);
}

#[tokio::test]
async fn the_built_in_rules_let_students_write_where_their_name_is_and_read_the_school() {
    let world = World::new();
    let database = world.create().await;
    database.add_user(&user("sam", "Student")).await.unwrap();
    database.add_user(&user("tina", "Teacher")).await.unwrap();
    let policy = database.directory().await.unwrap().policy();
    let may = |name: &str, permission, on: &str| {
        let client_id = ClientId::new(text("c")).unwrap();
        policy.rights(&Principal::User(user_name(name)), &client_id).verdict(permission, &topic(on)).is_allowed()
    };
    assert!(may("sam", Permission::Publish, "students/sam/lamp"));
    assert!(!may("sam", Permission::Publish, "students/tim/lamp"));
    assert!(may("sam", Permission::Subscribe, "school/bell"));
    assert!(!may("sam", Permission::Publish, "school/bell"));
    assert!(may("tina", Permission::Publish, "students/sam/lamp"));
    assert!(!may("tina", Permission::Subscribe, "$SYS/uptime"));
}

#[tokio::test]
async fn a_user_is_found_as_it_was_added() {
    let world = World::new();
    let database = world.create().await;
    database.add_user(&user("alice", "Teacher")).await.unwrap();
    database.close().await.unwrap();
    let found = world.open().await.unwrap().find_user(&user_name("alice")).await.unwrap().unwrap();
    assert_eq!(found.role, role_name("Teacher"));
    assert!(found.enabled);
    assert_eq!(found.password.unwrap().expose_secret(), "$argon2id$hash");
    assert_eq!(found.certificate, Some(CertificateFingerprint([7; 32])));
    assert_eq!((found.created, found.changed), (UnixMillis::from_millis(1), UnixMillis::from_millis(1)));
}

#[tokio::test]
async fn users_are_listed_by_name() {
    let world = World::new();
    let database = world.create().await;
    for name in ["zoe", "Adam", "mia"] {
        database.add_user(&user(name, "Student")).await.unwrap();
    }
    let names: Vec<_> = database.users().await.unwrap().into_iter().map(|user| user.name.to_string()).collect();
    assert_eq!(names, ["Adam", "mia", "zoe"]);
}

#[tokio::test]
async fn every_field_of_a_user_can_be_changed() {
    let world = World::new();
    let database = world.create().await;
    let (name, now) = (user_name("alice"), UnixMillis::from_millis(5));
    database.add_user(&user("alice", "Student")).await.unwrap();
    database.set_role(&name, &role_name("Admin"), now).await.unwrap();
    database.set_password(&name, Some("$other".into()), now).await.unwrap();
    database.set_certificate(&name, None, now).await.unwrap();
    database.set_enabled(&name, Access::Disabled, now).await.unwrap();
    let found = database.find_user(&name).await.unwrap().unwrap();
    assert_eq!((found.role, found.enabled, found.certificate), (role_name("Admin"), false, None));
    assert_eq!(found.password.unwrap().expose_secret(), "$other");
    assert_eq!((found.created, found.changed), (UnixMillis::from_millis(1), now));
    database.set_enabled(&name, Access::Enabled, now).await.unwrap();
    database.set_password(&name, None, now).await.unwrap();
    let found = database.find_user(&name).await.unwrap().unwrap();
    assert!(found.enabled && found.password.is_none());
}

#[tokio::test]
async fn a_hash_is_replaced_only_if_it_is_still_the_one_that_was_verified() {
    let world = World::new();
    let database = world.create().await;
    let name = user_name("alice");
    database.add_user(&user("alice", "Student")).await.unwrap();
    let stored = async || {
        let found = database.find_user(&name).await.unwrap().unwrap();
        assert_eq!(found.changed, UnixMillis::from_millis(1));
        found.password.unwrap().expose_secret().to_owned()
    };
    database.replace_password_hash(&name, "$other", "$new").await.unwrap();
    database.replace_password_hash(&user_name("bob"), "$other", "$new").await.unwrap();
    assert_eq!(stored().await, "$argon2id$hash");
    database.replace_password_hash(&name, "$argon2id$hash", "$new").await.unwrap();
    assert_eq!(stored().await, "$new");
}

#[tokio::test]
async fn what_is_taken_or_unknown_is_said_in_words() {
    let world = World::new();
    let database = world.create().await;
    let now = UnixMillis::default();
    database.add_user(&user("alice", "Student")).await.unwrap();
    let said = |result: Result<(), StoreError>| result.unwrap_err().to_string();
    assert_eq!(said(database.add_user(&user("alice", "Student")).await), "there is already a user alice");
    assert_eq!(
        said(database.add_user(&user("bob", "Techer")).await),
        "there is no role Techer; the roles are Admin, Student and Teacher"
    );
    let unknown = "there is no user bob";
    assert_eq!(said(database.set_password(&user_name("bob"), None, now).await), unknown);
    assert_eq!(said(database.remove_user(&user_name("bob")).await), unknown);
    assert!(said(database.set_role(&user_name("alice"), &role_name("Boss"), now).await).contains("no role Boss"));
    assert_eq!(said(database.add_role(&role_name("Admin")).await), "there is already a role Admin");
    let subject = Subject::User(user_name("bob"));
    assert_eq!(said(database.add_rule(rule(subject, "a", RuleEffect::Allow)).await.map(drop)), unknown);
    assert_eq!(said(database.remove_rule(RuleId(99)).await.map(drop)), "there is no rule 99");
    assert!(database.find_user(&user_name("bob")).await.unwrap().is_none());
}

#[tokio::test]
async fn rules_keep_their_numbers_and_numbers_are_never_given_twice() {
    let world = World::new();
    let database = world.create().await;
    database.add_user(&user("alice", "Student")).await.unwrap();
    let subject = Subject::User(user_name("alice"));
    let first = database.add_rule(rule(subject.clone(), "a/%c", RuleEffect::Deny)).await.unwrap();
    let removed = database.remove_rule(first).await.unwrap();
    let expected = Rule {
        id: first,
        subject: subject.clone(),
        pattern: TopicPattern::new("a/%c").unwrap(),
        publish: true,
        subscribe: false,
        effect: RuleEffect::Deny,
    };
    assert_eq!(removed, expected);
    let second = database.add_rule(rule(subject, "a", RuleEffect::Allow)).await.unwrap();
    assert_eq!(second.0, first.0 + 1);
}

#[tokio::test]
async fn a_removed_user_takes_its_rules_with_it_and_no_others() {
    let world = World::new();
    let database = world.create().await;
    for name in ["alice", "bob"] {
        database.add_user(&user(name, "Student")).await.unwrap();
        database.add_rule(rule(Subject::User(user_name(name)), "a", RuleEffect::Allow)).await.unwrap();
    }
    database.remove_user(&user_name("alice")).await.unwrap();
    let rules = database.rules().await.unwrap();
    let of_users: Vec<_> = rules.iter().filter(|rule| matches!(rule.subject, Subject::User(_))).collect();
    assert_eq!(of_users.len(), 1);
    assert_eq!(of_users[0].subject, Subject::User(user_name("bob")));
    // One who comes later with the same name begins without them.
    database.add_user(&user("alice", "Student")).await.unwrap();
    assert_eq!(database.rules().await.unwrap().len(), rules.len());
}

#[tokio::test]
async fn every_change_makes_a_new_generation_and_a_refused_one_does_not() {
    let world = World::new();
    let database = world.create().await;
    let (name, now) = (user_name("alice"), UnixMillis::default());
    let mut last = database.generation().await.unwrap();
    let mut grown = async |what: &str| {
        let generation = database.generation().await.unwrap();
        assert_eq!(generation, last + 1, "{what}");
        assert_eq!(database.directory().await.unwrap().generation, generation);
        last = generation;
    };
    database.add_role(&role_name("Guest")).await.unwrap();
    grown("add_role").await;
    database.add_user(&user("alice", "Guest")).await.unwrap();
    grown("add_user").await;
    database.set_password(&name, None, now).await.unwrap();
    grown("set_password").await;
    database.set_role(&name, &role_name("Admin"), now).await.unwrap();
    grown("set_role").await;
    database.set_enabled(&name, Access::Disabled, now).await.unwrap();
    grown("set_enabled").await;
    let id = database.add_rule(rule(Subject::Role(role_name("Guest")), "a", RuleEffect::Allow)).await.unwrap();
    grown("add_rule").await;
    database.remove_rule(id).await.unwrap();
    grown("remove_rule").await;
    database.remove_user(&name).await.unwrap();
    grown("remove_user").await;
    database.add_role(&role_name("Guest")).await.unwrap_err();
    database.remove_user(&name).await.unwrap_err();
    assert_eq!(database.generation().await.unwrap(), last);
}

#[tokio::test]
async fn two_processes_change_the_same_file_at_once() {
    let world = World::new();
    let one = world.create().await;
    let two = world.open().await.unwrap();
    let add = async |database: &Database, prefix: &str| {
        for number in 0..20 {
            database.add_user(&user(&format!("{prefix}{number}"), "Student")).await.unwrap();
        }
    };
    tokio::join!(add(&one, "a"), add(&two, "b"));
    assert_eq!(one.users().await.unwrap().len(), 40);
    assert_eq!(one.generation().await.unwrap(), two.generation().await.unwrap());
}

#[tokio::test]
async fn a_change_that_nobody_waits_for_any_more_leaves_no_lock() {
    let world = World::new();
    let database = world.create().await;
    let alice = user("alice", "Student");
    for patience in 0..40 {
        tokio::select! {
            biased;
            _ = database.add_user(&alice) => {}
            () = some_turns(patience * 10) => {}
        }
        database.add_role(&role_name(&format!("r{patience}"))).await.unwrap();
    }
}

async fn some_turns(turns: usize) {
    for _ in 0..turns {
        tokio::task::yield_now().await;
    }
}
