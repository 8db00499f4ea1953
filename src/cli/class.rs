//! `securemq class`: teachers, their students and the topics that they share.

use super::administration::{existing_database, record};
use super::context::Context;
use super::error::CliError;
use super::output::Format;
use crate::broker::{ClassName, Course, PolicyClass, UserName};
use crate::store::{Database, StoreError};
use clap::{Args, Subcommand};
use serde::Serialize;

/// Add, change, list and remove classes
#[derive(Debug, Args)]
pub struct ClassCommand {
    #[command(subcommand)]
    action: ClassAction,
}

#[derive(Debug, Subcommand)]
enum ClassAction {
    /// Add a class
    #[command(after_help = "\
The topics of class 7b: each student's own are c/7b/u/NAME/#, everybody's are c/7b/shared/#, and in c/7b/announce/# \
teachers publish and students read. Rules make it so, of the roles Teacher and Student, in which %g stands for each \
class of a user: `securemq acl list` shows them, and they can be changed.

  securemq class add 7b
  securemq class assign 7b tina sam ada")]
    Add {
        /// Its name, which is a level of its topics
        #[arg(value_parser = ClassName::new)]
        class: ClassName,
    },
    /// List all classes
    List,
    /// Show who is in a class, and its topics
    Show {
        /// Its name
        #[arg(value_parser = ClassName::new)]
        class: ClassName,
    },
    /// Put users into a class: those with the role Teacher or Admin teach it, all others learn
    Assign {
        /// The class
        #[arg(value_parser = ClassName::new)]
        class: ClassName,
        /// The users; all are assigned, or none
        #[arg(required = true, value_parser = UserName::new)]
        users: Vec<UserName>,
    },
    /// Take users out of a class
    Unassign {
        /// The class
        #[arg(value_parser = ClassName::new)]
        class: ClassName,
        /// The users; all are taken out, or none
        #[arg(required = true, value_parser = UserName::new)]
        users: Vec<UserName>,
    },
    /// Pause a class: its students stay connected and are sent messages, but publish nothing
    Pause {
        /// The class
        #[arg(value_parser = ClassName::new)]
        class: ClassName,
    },
    /// Let a paused class go on
    Resume {
        /// The class
        #[arg(value_parser = ClassName::new)]
        class: ClassName,
    },
    /// Remove a class; its members stay users
    Remove {
        /// The class
        #[arg(value_parser = ClassName::new)]
        class: ClassName,
    },
}

impl ClassCommand {
    /// Does what was asked for.
    pub async fn run(self, context: &Context) -> Result<(), CliError> {
        let database = existing_database(context).await?;
        let (class, action, said) = match self.action {
            ClassAction::List => return list(context, &database).await,
            ClassAction::Show { class } => return show(context, &database, &class).await,
            ClassAction::Add { class } => {
                database.add_class(&class).await?;
                let said = format!("class {class} added; its topics begin with c/{class}/");
                (class, "class add", said)
            }
            ClassAction::Assign { class, users } => {
                database.assign(&class, &users).await?;
                record(&database, "class assign", format!("{class}: {}", Names(&users))).await?;
                return done(context, &class, format!("assigned to class {class}: {}", Names(&users)));
            }
            ClassAction::Unassign { class, users } => {
                database.unassign(&class, &users).await?;
                record(&database, "class unassign", format!("{class}: {}", Names(&users))).await?;
                return done(context, &class, format!("no longer in class {class}: {}", Names(&users)));
            }
            ClassAction::Pause { class } => {
                database.set_course(&class, Course::Paused).await?;
                let said = format!("class {class} is paused: its students publish nothing");
                (class, "class pause", said)
            }
            ClassAction::Resume { class } => {
                database.set_course(&class, Course::Running).await?;
                let said = format!("class {class} goes on");
                (class, "class resume", said)
            }
            ClassAction::Remove { class } => {
                database.remove_class(&class).await?;
                let said = format!("class {class} is removed; its members stay users");
                (class, "class remove", said)
            }
        };
        record(&database, action, class.to_string()).await?;
        done(context, &class, said)
    }
}

async fn list(context: &Context, database: &Database) -> Result<(), CliError> {
    let classes: Vec<_> = database.classes().await?.iter().map(ShownClass::of).collect();
    context.output.listing(&["name", "teachers", "students", "paused"], &classes, |class| {
        let paused = if class.paused { "yes" } else { "no" };
        vec![class.name.clone(), class.teachers.join(", "), class.students.len().to_string(), paused.to_owned()]
    })
}

async fn show(context: &Context, database: &Database, name: &ClassName) -> Result<(), CliError> {
    let classes = database.classes().await?;
    let found = classes.iter().find(|class| class.name == *name);
    let shown = ShownClass::of(found.ok_or_else(|| StoreError::ClassUnknown(name.clone()))?);
    let output = &context.output;
    if output.format() == Format::Json {
        return output.json(&shown);
    }
    output.line(format_args!("name         {}", shown.name))?;
    output.line(format_args!("paused       {}", if shown.paused { "yes" } else { "no" }))?;
    output.line(format_args!("topics       {}", shown.topics))?;
    shown.teachers.iter().try_for_each(|name| output.line(format_args!("teacher      {name}")))?;
    shown.students.iter().try_for_each(|name| output.line(format_args!("student      {name}")))
}

/// A class as programs see it.
#[derive(Debug, Serialize)]
struct ShownClass {
    name: String,
    teachers: Vec<String>,
    students: Vec<String>,
    paused: bool,
    topics: String,
}

impl ShownClass {
    fn of(class: &PolicyClass) -> Self {
        Self {
            name: class.name.to_string(),
            teachers: class.teachers.iter().map(UserName::to_string).collect(),
            students: class.students.iter().map(UserName::to_string).collect(),
            paused: class.course == Course::Paused,
            topics: format!("c/{}/#", class.name),
        }
    }
}

/// What a command that changed a class prints.
#[derive(Debug, Serialize)]
struct Done<'a> {
    name: &'a str,
}

fn done(context: &Context, class: &ClassName, said: String) -> Result<(), CliError> {
    match context.output.format() {
        Format::Text => context.output.line(said),
        Format::Json => context.output.json(&Done { name: class.as_str() }),
    }
}

struct Names<'a>(&'a [UserName]);

impl std::fmt::Display for Names<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let names: Vec<_> = self.0.iter().map(UserName::as_str).collect();
        f.write_str(&names.join(", "))
    }
}
