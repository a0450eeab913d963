// Passkeys (WebAuthn Level 3): asks the browser to make one or to show one, and sends its answer with the form.
import { _ } from "./words.js";

/** @type {NodeListOf<HTMLFormElement>} */
const forms = document.querySelectorAll("form[data-passkey]");
const able = "PublicKeyCredential" in window;
for (const form of forms) {
  form.hidden = !able;
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    void answer(form);
  });
}
for (const without of document.querySelectorAll("[data-passkey-without]")) without.toggleAttribute("hidden", able);

/** @param {HTMLFormElement} form */
async function answer(form) {
  const name = form.querySelector("#name");
  // the page says what is wrong with a name; no passkey is made for nothing
  if (name instanceof HTMLInputElement && !name.value.trim()) return form.submit();
  const button = form.querySelector("button");
  const told = form.querySelector("[role=alert]");
  const credential = form.querySelector("[name=credential]");
  if (!button || !told || !(credential instanceof HTMLInputElement)) return;
  button.disabled = true;
  told.toggleAttribute("hidden", true);
  try {
    const asked = await ask(form.dataset.challenge ?? "");
    credential.value = JSON.stringify(form.dataset.passkey === "make" ? await make(asked) : await show(asked));
    form.submit();
  } catch (error) {
    told.textContent = reason(error);
    told.toggleAttribute("hidden", false);
    button.disabled = false;
  }
}

/** @param {string} address */
async function ask(address) {
  const response = await fetch(address, { method: "POST", headers: { accept: "application/json" } });
  const said = await response.json();
  if (!response.ok) throw new Error(said.detail);
  return said;
}

/** @param {any} asked PublicKeyCredentialCreationOptionsJSON */
async function make(asked) {
  const publicKey = {
    ...asked,
    challenge: bytes(asked.challenge),
    user: { ...asked.user, id: bytes(asked.user.id) },
    excludeCredentials: asked.excludeCredentials.map((/** @type {any} */ one) => ({ ...one, id: bytes(one.id) })),
  };
  const made = /** @type {PublicKeyCredential} */ (await navigator.credentials.create({ publicKey }));
  const said = /** @type {AuthenticatorAttestationResponse} */ (made.response);
  return { ...known(made), response: { clientDataJSON: text(said.clientDataJSON), attestationObject: text(said.attestationObject) } };
}

/** @param {any} asked PublicKeyCredentialRequestOptionsJSON */
async function show(asked) {
  const publicKey = { ...asked, challenge: bytes(asked.challenge), allowCredentials: [] };
  const shown = /** @type {PublicKeyCredential} */ (await navigator.credentials.get({ publicKey }));
  const said = /** @type {AuthenticatorAssertionResponse} */ (shown.response);
  return {
    ...known(shown),
    response: {
      clientDataJSON: text(said.clientDataJSON),
      authenticatorData: text(said.authenticatorData),
      signature: text(said.signature),
      userHandle: said.userHandle && text(said.userHandle),
    },
  };
}

/** @param {PublicKeyCredential} credential */
function known(credential) {
  return { id: credential.id, rawId: text(credential.rawId), type: credential.type };
}

/** Written out, since browsers and password managers that do know passkeys do not all know toJSON().
 * @param {string} base64url */
function bytes(base64url) {
  return Uint8Array.from(atob(base64url.replaceAll("-", "+").replaceAll("_", "/")), (one) => one.charCodeAt(0));
}

/** @param {ArrayBuffer} buffer */
function text(buffer) {
  const base64 = btoa(String.fromCharCode(...new Uint8Array(buffer)));
  return base64.replaceAll("+", "-").replaceAll("/", "_").replaceAll("=", "");
}

/** @param {unknown} error */
function reason(error) {
  if (error instanceof DOMException) {
    if (error.name === "NotAllowedError") {
      return _("Nothing happened: it was cancelled, took too long, or there is no passkey for this site on this device.");
    }
    if (error.name === "InvalidStateError") return _("There is a passkey of yours on this device already.");
    return _("This device or browser did not do it. It has to be able to check that it is you, by a lock, fingerprint or face.");
  }
  if (error instanceof TypeError) return _("The network is away. Please try again.");
  return error instanceof Error ? error.message : String(error);
}
