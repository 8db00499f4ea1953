// What this browser remembers of how one likes the page: never data of the broker, never a secret.

export function recall(name) {
  try {
    return localStorage.getItem(`securemq.${name}`);
  } catch {
    return null; // storage may be forbidden
  }
}

export function remember(name, value) {
  try {
    localStorage.setItem(`securemq.${name}`, value);
  } catch {
    // It holds until the page is closed, then.
  }
}
