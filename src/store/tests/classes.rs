//! Classes, keys of programs and second factors.

use super::*;
use crate::broker::{ClassName, Course, Permission};

fn class_name(name: &str) -> ClassName {
    ClassName::new(name).unwrap()
}

/// A store with the teacher tina, the students sam and ada, and the class 7b without members.
async fn school(world: &World) -> Database {
    let database = world.create().await;
    for (name, role) in [("tina", "Teacher"), ("sam", "Student"), ("ada", "Student")] {
        database.add_user(&user(name, role)).await.unwrap();
    }
    database.add_class(&class_name("7b")).await.unwrap();
    database
}

fn names(members: &std::collections::BTreeSet<UserName>) -> Vec<&str> {
    members.iter().map(UserName::as_str).collect()
}

#[tokio::test]
async fn a_role_gives_the_seat_in_a_class_and_another_role_takes_it() {
    let world = World::new();
    let database = school(&world).await;
    let all = ["tina", "sam", "ada"].map(user_name);
    database.assign(&class_name("7b"), &all).await.unwrap();
    database.assign(&class_name("7b"), &all).await.unwrap();
    let now = UnixMillis::default();
    let seats = async || {
        let classes = database.classes().await.unwrap();
        (names(&classes[0].teachers).join(" "), names(&classes[0].students).join(" "))
    };
    assert_eq!(seats().await, ("tina".to_owned(), "ada sam".to_owned()));
    database.set_role(&user_name("sam"), &role_name("Teacher"), now).await.unwrap();
    assert_eq!(seats().await, ("tina".to_owned(), "ada".to_owned()), "nobody teaches the class it sat in");
    database.set_role(&user_name("tina"), &role_name("Admin"), now).await.unwrap();
    assert_eq!(seats().await.0, "tina", "an administrator teaches, too");
    database.remove_user(&user_name("ada")).await.unwrap();
    database.add_user(&user("ada", "Student")).await.unwrap();
    assert_eq!(seats().await.1, "", "whoever comes later by that name is another");
    database.unassign(&class_name("7b"), &[user_name("tina")]).await.unwrap();
    assert_eq!(seats().await, (String::new(), String::new()));
    database.remove_class(&class_name("7b")).await.unwrap();
    assert!(database.classes().await.unwrap().is_empty());
}

#[tokio::test]
async fn the_first_class_brings_rules_and_no_later_one_does() {
    let world = World::new();
    let database = school(&world).await;
    let rules = database.rules().await.unwrap();
    let of_classes: Vec<_> = rules.iter().filter(|rule| rule.pattern.as_str().contains("%g")).collect();
    assert_eq!(of_classes.len(), 4);
    for rule in of_classes {
        database.remove_rule(rule.id).await.unwrap();
    }
    database.add_class(&class_name("8a")).await.unwrap();
    assert_eq!(database.rules().await.unwrap().len(), rules.len() - 4, "what was removed stays removed");
}

#[tokio::test]
async fn members_have_the_topics_of_their_class_and_of_no_other() {
    let world = World::new();
    let database = school(&world).await;
    database.add_class(&class_name("8a")).await.unwrap();
    database.assign(&class_name("7b"), &["tina", "sam"].map(user_name)).await.unwrap();
    database.assign(&class_name("8a"), &[user_name("ada")]).await.unwrap();
    let may = async |name: &str, permission, on: &str| {
        let policy = database.directory().await.unwrap().policy();
        let client_id = ClientId::new(text("c")).unwrap();
        policy.rights(&Principal::User(user_name(name)), &client_id).verdict(permission, &topic(on)).is_allowed()
    };
    use Permission::{Publish, Subscribe};
    for (name, permission, on, is_allowed) in [
        ("sam", Publish, "c/7b/u/sam/lamp", true),
        ("sam", Publish, "c/7b/u/ada/lamp", false),
        ("sam", Subscribe, "c/7b/u/ada/lamp", false),
        ("sam", Publish, "c/7b/shared/chat", true),
        ("sam", Subscribe, "c/7b/announce/x", true),
        ("sam", Publish, "c/7b/announce/x", false),
        ("sam", Subscribe, "c/8a/shared/chat", false),
        ("tina", Publish, "c/7b/announce/x", true),
        ("tina", Subscribe, "c/7b/u/sam/lamp", true),
        ("tina", Subscribe, "c/8a/u/ada/lamp", false),
        ("ada", Publish, "c/8a/u/ada/lamp", true),
    ] {
        assert_eq!(may(name, permission, on).await, is_allowed, "{name} {permission:?} {on}");
    }
    database.set_course(&class_name("7b"), Course::Paused).await.unwrap();
    assert!(!may("sam", Publish, "c/7b/u/sam/lamp").await && may("sam", Subscribe, "c/7b/announce/x").await);
    assert!(may("tina", Publish, "c/7b/announce/x").await);
    database.set_course(&class_name("7b"), Course::Running).await.unwrap();
    assert!(may("sam", Publish, "c/7b/u/sam/lamp").await);
}

#[tokio::test]
async fn what_a_class_cannot_is_said_in_words_and_changes_nothing() {
    let world = World::new();
    let database = school(&world).await;
    let before = database.generation().await.unwrap();
    let said = |result: Result<(), StoreError>| result.unwrap_err().to_string();
    assert_eq!(said(database.add_class(&class_name("7b")).await), "there is already a class 7b");
    assert_eq!(said(database.remove_class(&class_name("9")).await), "there is no class 9");
    assert_eq!(said(database.set_course(&class_name("9"), Course::Paused).await), "there is no class 9");
    let some = ["sam", "nobody"].map(user_name);
    assert_eq!(said(database.assign(&class_name("7b"), &some).await), "there is no user nobody");
    assert_eq!(said(database.unassign(&class_name("7b"), &some).await), "user sam is not in class 7b");
    assert!(database.classes().await.unwrap()[0].students.is_empty());
    assert_eq!(database.generation().await.unwrap(), before);
}

fn key(owner: &str) -> ApiKey {
    ApiKey {
        id: 0,
        owner: user_name(owner),
        name: "report".into(),
        scopes: ApiScopes { read: true, publish: false, manage: true },
        created: UnixMillis::from_millis(1),
        expires: UnixMillis::from_millis(9),
    }
}

/// A key that was made by a student is none of a teacher's.
#[tokio::test]
async fn keys_go_with_a_change_of_role_and_stay_with_any_other() {
    let world = World::new();
    let database = school(&world).await;
    let found = async || database.find_api_key(&"smq_one".into()).await.unwrap().is_some();
    database.add_api_key(key("sam"), &"smq_one".into()).await.unwrap();
    database.set_enabled(&user_name("sam"), Access::Disabled, UnixMillis::default()).await.unwrap();
    let role = database.find_user(&user_name("sam")).await.unwrap().unwrap().role;
    database.set_role(&user_name("sam"), &role, UnixMillis::default()).await.unwrap();
    assert!(found().await);
    database.set_role(&user_name("sam"), &role_name("Teacher"), UnixMillis::default()).await.unwrap();
    assert!(!found().await);
    database.add_api_key(key("sam"), &"smq_one".into()).await.unwrap();
    let sam = [(1, user("sam", "Admin"))];
    database.import_users(&sam, OnExisting::Replace, Attempt::Import).await.unwrap();
    assert!(!found().await);
    // An administrator's keys are worth less from now on, and are gone before they could be worth more again.
    database.add_api_key(key("sam"), &"smq_one".into()).await.unwrap();
    database.set_role(&user_name("sam"), &role, UnixMillis::default()).await.unwrap();
    assert!(found().await);
    database.set_role(&user_name("sam"), &role_name("Admin"), UnixMillis::default()).await.unwrap();
    assert!(!found().await);
}

#[tokio::test]
async fn a_key_is_found_by_its_secret_and_goes_with_its_owner() {
    let world = World::new();
    let database = school(&world).await;
    let kept = database.add_api_key(key("sam"), &"smq_one".into()).await.unwrap();
    database.add_api_key(key("tina"), &"smq_two".into()).await.unwrap();
    assert_eq!(database.find_api_key(&"smq_one".into()).await.unwrap(), Some(ApiKey { id: kept.id, ..key("sam") }));
    assert_eq!(database.find_api_key(&"smq_three".into()).await.unwrap(), None);
    assert_eq!(database.api_keys().await.unwrap().keys.len(), 2);
    database.remove_user(&user_name("sam")).await.unwrap();
    database.add_user(&user("sam", "Admin")).await.unwrap();
    assert_eq!(database.find_api_key(&"smq_one".into()).await.unwrap(), None);
    let gone = database.remove_api_key(kept.id).await.unwrap_err().to_string();
    assert_eq!(gone, format!("there is no key {}", kept.id));
    for number in 0..20 {
        database.add_api_key(key("sam"), &format!("smq_{number}").into()).await.unwrap();
    }
    let full = database.add_api_key(key("sam"), &"smq_more".into()).await.unwrap_err().to_string();
    assert!(full.starts_with("there are 20 keys of this user already"), "{full}");
    assert!(database.add_api_key(key("nobody"), &"smq_x".into()).await.is_err());
}

#[tokio::test]
async fn a_second_factor_is_used_up_once_and_goes_with_its_user() {
    let world = World::new();
    let database = school(&world).await;
    let sam = user_name("sam");
    let factor = SecondFactor { secret: [7; 20], used_step: 1, recovery: vec![[1; 32], [2; 32]] };
    database.set_second_factor(&sam, &factor).await.unwrap();
    let once = |factor: &mut SecondFactor| {
        let before = factor.recovery.len();
        factor.recovery.retain(|hash| *hash != [1; 32]);
        factor.recovery.len() < before
    };
    let (one, two) = tokio::join!(database.use_second_factor(&sam, once), database.use_second_factor(&sam, once));
    let mut both = [one.unwrap(), two.unwrap()];
    both.sort_unstable();
    assert_eq!(both, [Some(false), Some(true)]);
    let left = database.second_factor(&sam).await.unwrap().unwrap();
    assert_eq!((left.recovery.len(), left.secret), (1, [7; 20]));
    database.remove_user(&sam).await.unwrap();
    database.add_user(&user("sam", "Student")).await.unwrap();
    assert!(database.second_factor(&sam).await.unwrap().is_none());
    assert_eq!(database.use_second_factor(&sam, |_| true).await.unwrap(), None);
    assert!(!database.remove_second_factor(&sam).await.unwrap());
    assert!(database.set_second_factor(&user_name("nobody"), &factor).await.is_err());
}
