# In the installer's initrd as /usr/lib/fetch-url/https: fetch-url reads it, "$url" is set.
# Our boot service is known by the authority on this medium and by no other; of everybody else
# (a mirror) the installer's own authorities are asked, as ever.
case "$url" in
"https://[fd77::1]:8443"/*)
    protocol_fetch() {
        while true; do
            code=0
            SSL_CERT_FILE=/metal/ca.pem SSL_CERT_DIR=/metal wget --no-verbose --tries=5 \
                --timeout=30 --retry-on-http-error=503 -U debian-installer -O "$2" "$1" || code=$?
            case $code in
            4) why="does not answer" ;;
            5) why="shows a certificate that is not of this medium's authority" ;;
            8) echo "metal: https://[fd77::1]:8443 has no answers for this medium: make a new one" \
                   >/dev/console
               return 4 ;;
            *) return $code ;;
            esac
            echo "metal: https://[fd77::1]:8443 $why; trying again" >/dev/console
            sleep 15
        done
    }
    ;;
*) . /usr/lib/fetch-url/http ;;
esac
