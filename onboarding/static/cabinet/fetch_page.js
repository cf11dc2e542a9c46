// A page of ours as it is now, for the scripts that keep an open one fresh.

export const ANSWER_WITHIN = 15000; // milliseconds; what hangs is given up, or it would be a script's last question

// The document; throws when the answer is late, an error, or a way to another page.
export async function fetchPage(address) {
  const answer = await fetch(address, {
    headers: { Accept: "text/html" }, redirect: "error", signal: AbortSignal.timeout(ANSWER_WITHIN),
  });
  if (!answer.ok) throw new Error(String(answer.status));
  return new DOMParser().parseFromString(await answer.text(), "text/html");
}
