//! What a connection is to write.

use bytes::BytesMut;
use std::cell::{Cell, RefCell, RefMut};
use std::task::{Context, Waker};

/// What a connection is to write. The world fills it, the connection's own task empties it.
#[derive(Default)]
pub struct Outbox {
    buffer: RefCell<BytesMut>,
    is_closing: Cell<bool>,
    waker: RefCell<Option<Waker>>,
    /// Whether the task need not be woken: it is at work, or was woken already.
    is_awake: Cell<bool>,
}

impl Outbox {
    /// Lets `write` add to what is to be written, and wakes the connection.
    pub fn write<T>(&self, write: impl FnOnce(&mut BytesMut) -> T) -> T {
        let result = write(&mut self.buffer.borrow_mut());
        self.wake();
        result
    }

    /// What is to be written, to take from.
    pub fn buffer(&self) -> RefMut<'_, BytesMut> {
        self.buffer.borrow_mut()
    }

    /// Whether the connection is to end once everything is written.
    pub fn is_closing(&self) -> bool {
        self.is_closing.get()
    }

    /// Wakes this task when something is put in.
    pub fn wake_later(&self, context: &Context<'_>) {
        self.is_awake.set(false);
        let mut waker = self.waker.borrow_mut();
        match &mut *waker {
            // A task is mostly woken by the same waker, which need not be counted up and down again.
            Some(waker) => waker.clone_from(context.waker()),
            None => *waker = Some(context.waker().clone()),
        }
    }

    /// Wakes nobody: the connection's own task is at work and will look.
    pub fn wake_nobody(&self) {
        self.is_awake.set(true);
    }

    /// Ends the connection once everything is written.
    pub fn close(&self) {
        self.is_closing.set(true);
        self.wake();
    }

    fn wake(&self) {
        if !self.is_awake.replace(true)
            && let Some(waker) = &*self.waker.borrow()
        {
            waker.wake_by_ref();
        }
    }
}
