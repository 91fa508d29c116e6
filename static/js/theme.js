/* Runs before first paint. The server writes data-theme when the person chose light or dark in the profile.
   The switch in the top bar holds on this device until that setting changes. */
(function(){var r=document.documentElement,s=r.dataset.theme||"system",t=[];r.dataset.setting=s;try{t=(localStorage.getItem("theme")||"").split(" ")}catch(e){}r.dataset.theme=t[1]===s?t[0]:s!=="system"?s:matchMedia("(prefers-color-scheme: dark)").matches?"dark":"light"})();
