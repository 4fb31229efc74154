// The QR of a receipt leads here with number and secret behind "#", which no server is sent: they
// are put into the form, and taken out of the address.
const field = document.getElementById("receipt");
if (location.hash.includes(".")) {
  field.value = location.href;
  history.replaceState(null, "", location.pathname);
}
