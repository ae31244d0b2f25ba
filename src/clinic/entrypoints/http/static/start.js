// In a file of its own, so that the page needs no inline script.
window.addEventListener("load", () => {
  window.ui = SwaggerUIBundle({
    url: "/schema/openapi.json",
    dom_id: "#swagger-ui",
    deepLinking: true,
    // Swagger's public validator would be told of this server.
    validatorUrl: null,
  });
});
