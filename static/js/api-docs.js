// The API docs: Swagger UI on our own schema; a signed-in browser may try calls with its CSRF token.
"use strict";
const mount = document.getElementById("api-docs");
const csrf = () => (document.cookie.match(/(?:^|;\s*)csrftoken=([^;]+)/) || [])[1] || "";
window.SwaggerUIBundle({
  url: mount.dataset.schema,
  domNode: mount,
  presets: [window.SwaggerUIBundle.presets.apis],
  layout: "BaseLayout",
  deepLinking: true,
  docExpansion: "none",
  tryItOutEnabled: false,
  validatorUrl: null,
  requestInterceptor(request) {
    if (request.method && request.method !== "GET") request.headers["X-CSRFToken"] = csrf();
    return request;
  },
});
